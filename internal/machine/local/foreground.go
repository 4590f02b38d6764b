package local

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"

	"salvor/internal/machine"
)

// Foreground runs a program in front of the operator, who ends it: with these
// streams, in this process's environment and group, so that it has the terminal.
// When ctx ends it gets SIGTERM, and SIGKILL after machine.Grace.
func Foreground(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) error {
	return Program{Argv: argv, In: in, Out: out, Err: errs}.Foreground(ctx)
}

// A Program is one that runs in front of the operator, with more than its arguments.
type Program struct {
	Argv     []string
	Dir      string     // "" for this process's
	Env      []string   // in addition to this process's
	Files    []*os.File // its files 3, 4 and so on
	In       io.Reader
	Out, Err io.Writer
}

// Foreground is the function of that name.
func (p Program) Foreground(ctx context.Context) error {
	c := machine.Cmd{Argv: p.Argv, Dir: p.Dir}
	if err := c.Check(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, p.Argv[0], p.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.ExtraFiles = p.Dir, append(os.Environ(), p.Env...), p.Files
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.In, p.Out, p.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = machine.Grace
	return explain(ctx, c, cmd.Run(), machine.Output{})
}

// Find returns the first of these programs that is in PATH, "" for none.
func Find(names ...string) string {
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	return ""
}
