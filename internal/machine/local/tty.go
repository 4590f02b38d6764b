package local

import (
	"errors"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"salvor/internal/machine"
)

// terminal starts the program on a pseudo-terminal. Its streams end with EIO
// when the program closes its side.
func (p *process) terminal(tty *machine.TTY) error {
	t, err := pty.StartWithAttrs(p.cmd, &pty.Winsize{Cols: uint16(tty.Width), Rows: uint16(tty.Height)}, p.cmd.SysProcAttr)
	if err != nil {
		return err
	}
	p.ours = append(p.ours, t)
	p.flows = []*machine.Flow{machine.Copy(p.stdout, t, p.fail)}
	if p.stdin != nil {
		go p.feed(t, func(t *os.File) { _, _ = t.Write([]byte{endOfInput}) }) // a terminal that is gone needs none
	}
	go p.resize(t, tty.Resize)
	return nil
}

// endOfInput is what Ctrl-D types.
const endOfInput = 4

func (p *process) resize(t *os.File, sizes <-chan [2]int) {
	for {
		select {
		case <-p.done:
			return
		case s, ok := <-sizes:
			if !ok || setSize(t, s) != nil {
				return
			}
		}
	}
}

// setSize may run while the terminal is closed, which pty.Setsize may not.
func setSize(t *os.File, s [2]int) error {
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var setErr error
	err = raw.Control(func(fd uintptr) {
		setErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(s[0]), Row: uint16(s[1])})
	})
	return errors.Join(err, setErr)
}
