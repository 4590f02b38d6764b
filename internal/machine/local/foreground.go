package local

import (
	"context"
	"io"
	"os/exec"
	"syscall"

	"salvor/internal/machine"
)

// Foreground runs a program in front of the operator, who ends it: with these
// streams, in this process's environment and group, so that it has the terminal.
// When ctx ends it gets SIGTERM, and SIGKILL after machine.Grace.
func Foreground(ctx context.Context, argv []string, in io.Reader, out, errs io.Writer) error {
	c := machine.Cmd{Argv: argv}
	if err := c.Check(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errs
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
