// Package local is the machine this process runs on. It is the only package of
// the product that starts processes.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"salvor/internal/atomicfile"
	"salvor/internal/machine"
)

// Exit codes of a program that could not be started, as env(1) has them.
const (
	exitNoDir     = 125
	exitNoProgram = 126
	exitNotFound  = 127
)

// Machine is this host. The zero value runs programs in a small clean
// environment.
type Machine struct {
	// Inherit gives programs this process's environment, as an operator's own
	// tools (git with its credential helpers) need it.
	Inherit bool
	// Terminal is given to programs that get no Stdin, in its foreground, so that
	// they can ask the operator. It counts only while it is this process's own
	// terminal and this process is in its foreground; nil for none.
	Terminal *os.File
}

var _ machine.Machine = Machine{}

// Run implements machine.Machine. The program leads a process group of its own.
func (m Machine) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	ended := machine.Trace(ctx, "", c)
	out, err := m.run(ctx, c)
	ended(err)
	return out, err
}

func (m Machine) run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := c.Check(); err != nil {
		return machine.Output{}, err
	}
	ctx, cancel := c.WithTimeout(ctx)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stdout, stderr := machine.NewCollector(c.Stdout), machine.NewTail(c.Stderr)
	p := process{cmd: m.command(ctx, c), stdin: c.Stdin, stdout: stdout, stderr: stderr, fail: fail}
	restore := m.lend(p.cmd, c)
	err := p.run(c.TTY)
	restore()
	out := machine.Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	return out, explain(ctx, c, err, out)
}

func (m Machine) command(ctx context.Context, c machine.Cmd) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = c.Environ("PATH="+machine.Path, "HOME="+home())
	if m.Inherit {
		cmd.Env = c.Environ(os.Environ()...)
	}
	cmd.WaitDelay = machine.Grace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: c.TTY == nil, Setsid: c.TTY != nil, Setctty: c.TTY != nil}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.ErrProcessDone
	}
	return cmd
}

func home() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return "/root"
	}
	return dir
}

func explain(ctx context.Context, c machine.Cmd, err error, out machine.Output) error {
	exit := &machine.ExitError{Argv: c.Argv, Stderr: out.Stderr}
	var ended *exec.ExitError
	var path *fs.PathError
	switch {
	case err == nil:
		return context.Cause(ctx)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c.Argv[0], context.Cause(ctx))
	case errors.As(err, &ended):
		status, _ := ended.Sys().(syscall.WaitStatus)
		if exit.Code = ended.ExitCode(); status.Signaled() {
			exit.Signal = strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
		}
		return exit
	case errors.As(err, &path) && path.Op == "chdir":
		exit.Code, exit.Stderr = exitNoDir, []byte(path.Error())
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		exit.Code, exit.Stderr = exitNotFound, []byte("not found")
	case errors.Is(err, fs.ErrPermission):
		exit.Code, exit.Stderr = exitNoProgram, []byte("not executable")
	default:
		return err
	}
	return exit
}

// ReadFile implements machine.Machine.
func (Machine) ReadFile(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// WriteFile implements machine.Machine.
func (Machine) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	return atomicfile.Write(name, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return content.Read(p)
	}), mode)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Dial implements machine.Machine.
func (Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// Close implements machine.Machine; there is nothing to end.
func (Machine) Close() error { return nil }
