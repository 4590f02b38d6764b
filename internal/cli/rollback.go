package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/rollback"
)

type rollbackOptions struct {
	to       string
	withData bool
	keepData bool
	list     bool
}

func newRollback(g *globals) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback STACK",
		Short: "Return a stack to an earlier deploy: its files and its images",
		Long: "Rollback commits the stack's folder and image digests as they were and applies that. Secrets stay as they " +
			"are now.\n" +
			"An older image with newer data is refused: --with-data restores the newest snapshot that was taken while it " +
			"ran.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := contradicting(cmd, "with-data", "keep-data"); err != nil {
				return err
			}
			return runRollback(cmd.Context(), g, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the deploy of this `COMMIT` (default: the previous one)")
	cmd.Flags().BoolVar(&o.withData, "with-data", false, "also restore the data from that deploy")
	cmd.Flags().BoolVar(&o.keepData, "keep-data", false, "keep the data even if an image gets older: you know that it works")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the earlier deploys and change nothing")
	return cmd
}

func runRollback(ctx context.Context, g *globals, stack string, o rollbackOptions) error {
	return g.with(ctx, func(a *app.App) error {
		again := reopened{g: g}
		defer again.close(ctx)
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		f := a.ForRollback(again.session)
		if o.list {
			now, earlier, err := f.Deploys(ctx, stack)
			if err != nil {
				return err
			}
			return g.printDeploys(deployRows(now, earlier, running(ctx, g, a, stack)))
		}
		p, err := rollback.Prepare(ctx, f, stack, rollback.Options{To: o.to, WithData: o.withData, KeepData: o.keepData})
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}
