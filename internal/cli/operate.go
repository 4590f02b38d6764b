package cli

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/placement"
	"salvor/internal/proposal"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// onHost opens the stacks of the host that a stack is placed on.
func (g *globals) onHost(ctx context.Context, name string, work func(h *stack.Host, name string) error) error {
	return g.with(ctx, func(a *app.App) error {
		name := a.Named(name)
		lock := a.Lock()
		p, err := placement.Of(lock, name)
		if err != nil {
			return err
		}
		m, err := a.Reach.Machine(ctx, p.Host)
		if err != nil {
			return err
		}
		h := stack.New(m)
		defer h.Close()
		return work(h, name)
	})
}

func newLogs(g *globals) *cobra.Command {
	var o stack.LogOptions
	cmd := &cobra.Command{
		Use:   "logs STACK [SERVICE…]",
		Short: "Print a stack's logs",
		Args:  leastArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Services = args[1:]
			return g.onHost(cmd.Context(), args[0], func(h *stack.Host, name string) error { return h.Logs(cmd.Context(), name, terminal.Raw(g.Out), o) })
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on printing until interrupted")
	cmd.Flags().IntVarP(&o.Tail, "tail", "n", 0, "only the last `LINES` of each service")
	cmd.Flags().BoolVarP(&o.Timestamps, "timestamps", "t", false, "with the time of each line")
	return prints("what the services print", annotated(cmd, firstOnly, "services"))
}

func newExec(g *globals) *cobra.Command {
	return newExecWith(func(ctx context.Context, args []string, tty bool) error {
		return g.onHost(ctx, args[0], func(h *stack.Host, name string) error { return g.exec(ctx, h, name, args[1:], tty) })
	})
}

func newExecWith(run func(ctx context.Context, args []string, tty bool) error) *cobra.Command {
	var tty bool
	cmd := &cobra.Command{
		Use:   "exec STACK SERVICE [--] COMMAND…",
		Short: "Run a command in a service's container",
		Args:  leastArgs("STACK", "SERVICE", "COMMAND"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 3 && args[2] == "--" {
				args = slices.Delete(args, 2, 3)
			}
			return run(cmd.Context(), args, tty)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags behind STACK are the command's
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command this terminal: what it prints there is not made visible")
	return prints("what the command prints", annotated(cmd, firstOnly, "what is run"))
}

func (g *globals) exec(ctx context.Context, h *stack.Host, name string, args []string, tty bool) error {
	session := stack.Session{Service: args[0], Argv: args[1:], Stdin: g.In, Stdout: terminal.Raw(g.Out)}
	if tty {
		fd := int(g.In.Fd())
		if !term.IsTerminal(fd) || g.Term == nil {
			return fault.WithCode(fault.WithHint(errors.New("there is no terminal that the command could have"), "leave --tty out"), fault.Usage)
		}
		width, height, err := term.GetSize(fd)
		if err != nil {
			return err
		}
		before, err := term.MakeRaw(fd)
		if err != nil {
			return err
		}
		defer term.Restore(fd, before) //nolint:errcheck // the terminal is gone then
		session.Stdout = terminal.Under(g.Out)
		session.TTY = &machine.TTY{Term: os.Getenv("TERM"), Width: width, Height: height}
	}
	var err error
	g.progress().Suspend(func() { err = h.Exec(ctx, name, session) })
	var exit *machine.ExitError
	if errors.As(err, &exit) && exit.Code > 0 && exit.Code <= 255 {
		return fault.WithCode(err, exit.Code)
	}
	return err
}

func newDown(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "down STACK",
		Short: "Stop a stack and keep it stopped; its volumes are kept",
		Args:  exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.amend(cmd.Context(), args[0], (*deploy.Session).Down)
		},
	}
}

func newUp(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "up STACK",
		Short: "Start a stack again that down stopped",
		Args:  exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.amend(cmd.Context(), args[0], (*deploy.Session).Up)
		},
	}
}

// amend carries out one change of one stack.
func (g *globals) amend(ctx context.Context, stack string, propose func(*deploy.Session, string) (proposal.Proposal[deploy.Receipt], error)) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		p, err := propose(s, a.Named(stack))
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}
