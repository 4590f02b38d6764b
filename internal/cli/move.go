package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/move"
)

type moveOptions struct{ to string }

func newMove(g *globals) *cobra.Command {
	var o moveOptions
	cmd := &cobra.Command{
		Use:   "move STACK --to HOST",
		Short: "Move a stack with its data to another host, while both hosts run",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runMove(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the `HOST` to move the stack to")
	return cmd
}

func runMove(ctx context.Context, g *globals, stack string, o moveOptions) error {
	if o.to == "" {
		return fault.WithCode(fault.WithHint(errors.New("move needs the host to move the stack to"), "salvor move "+stack+" --to HOST"), fault.Usage)
	}
	return g.with(ctx, func(a *app.App) error {
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		p, err := move.Prepare(a.ForMove(), stack, o.to)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}
