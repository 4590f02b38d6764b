package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

func newExec(g *globals) *cobra.Command {
	return newExecWith(func(ctx context.Context, args []string, tty bool) error {
		return g.onHost(ctx, args[0], func(h *stack.Host, name string) error { return g.exec(ctx, h, name, args[1:], tty) })
	})
}

func newExecWith(run func(ctx context.Context, args []string, tty bool) error) *cobra.Command {
	var tty bool
	cmd := &cobra.Command{
		Use:   "exec STACK SERVICE [--] [COMMAND…]",
		Short: "Run a command in a service's container, or a shell",
		Long:  "Without a COMMAND, exec starts bash or, where the image has none, sh; on a terminal the shell has it.",
		Args:  leastArgs("STACK", "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 && args[2] == "--" {
				args = slices.Delete(args, 2, 3)
			}
			return run(cmd.Context(), args, tty)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags behind STACK are the command's
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command this terminal; control characters in its output are not escaped")
	return prints("what the command prints", annotated(cmd, firstOnly, "what is run"))
}

// anyShell starts the shell that people prefer of those that an image has.
const anyShell = "if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh"

func (g *globals) exec(ctx context.Context, h *stack.Host, name string, args []string, tty bool) error {
	if len(args) == 1 {
		args = append(args, "sh", "-c", anyShell)
		tty = tty || g.Term != nil && term.IsTerminal(int(g.In.Fd())) && terminal.Is(g.Out)
	}
	session := stack.Session{Service: args[0], Argv: args[1:], Stdin: g.In, Stdout: terminal.Raw(g.Out), Stderr: g.Err}
	if tty {
		lent, giveBack, err := g.lendTerminal()
		if err != nil {
			return err
		}
		defer giveBack()
		session.Stdout, session.TTY = terminal.Under(g.Out), lent
	}
	var err error
	g.progress().Suspend(func() { err = h.Exec(ctx, name, session) })
	if err == nil {
		return nil
	}
	return cmp.Or(stack.Named(h, name).Lacks(ctx, session.Service), ended(err))
}

// lendTerminal gives a command on a host the person's terminal, which is raw here until
// giveBack is called. The command's terminal has its size, also when that changes.
func (g *globals) lendTerminal() (lent *machine.TTY, giveBack func(), err error) {
	fd := int(g.In.Fd())
	if !term.IsTerminal(fd) || g.Term == nil {
		return nil, nil, fault.WithCode(fault.WithHint(errors.New("standard input is not a terminal"), "run it without --tty"), fault.Usage)
	}
	sizes, forget := resizes(fd)
	width, height, err := term.GetSize(fd)
	if err != nil {
		forget()
		return nil, nil, err
	}
	before, err := term.MakeRaw(fd)
	if err != nil {
		forget()
		return nil, nil, err
	}
	giveBack = func() {
		forget()
		_ = term.Restore(fd, before) // the terminal is gone where that fails
	}
	return &machine.TTY{Term: os.Getenv("TERM"), Width: width, Height: height, Resize: sizes}, giveBack, nil
}

// resizes returns the sizes that a terminal gets, until forget is called.
func resizes(fd int) (sizes <-chan [2]int, forget func()) {
	changed, over, to := make(chan os.Signal, 1), make(chan struct{}), make(chan [2]int)
	signal.Notify(changed, unix.SIGWINCH)
	go func() {
		for {
			select {
			case <-over:
				return
			case <-changed:
			}
			width, height, err := term.GetSize(fd)
			if err != nil {
				return // the terminal is gone
			}
			select {
			case <-over:
				return
			case to <- [2]int{width, height}:
			}
		}
	}()
	return to, func() {
		signal.Stop(changed)
		close(over)
	}
}
