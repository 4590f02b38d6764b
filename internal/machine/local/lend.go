package local

import (
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"salvor/internal/machine"
)

// lend gives a program the operator's terminal as its standard input and makes
// its process group the terminal's foreground one: in the background it would be
// stopped when it reads. It returns what takes the terminal back.
func (m Machine) lend(cmd *exec.Cmd, c machine.Cmd) (restore func()) {
	if m.Terminal == nil || c.Stdin != nil || c.TTY != nil {
		return func() {}
	}
	fd := int(m.Terminal.Fd())
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || group != syscall.Getpgrp() {
		return func() {} // not our terminal, or we are in its background ourselves
	}
	modes, err := term.GetState(fd)
	if err != nil {
		return func() {}
	}
	cmd.Stdin = m.Terminal
	cmd.SysProcAttr.Foreground, cmd.SysProcAttr.Ctty = true, fd
	return func() { takeBack(m.Terminal, group, modes) }
}

// takeBack makes a process group the terminal's foreground one again, from its
// background, which the kernel stops who does not ignore SIGTTOU; then it puts the
// terminal's modes back, since a program that was killed may have left echo off.
func takeBack(terminal *os.File, group int, modes *term.State) {
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	fd := int(terminal.Fd())
	// A terminal that is gone has nothing to take back.
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group); err == nil {
		_ = term.Restore(fd, modes)
	}
}
