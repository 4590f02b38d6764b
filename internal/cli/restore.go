package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/restore"
)

type restoreOptions struct {
	restore.Options
	at       pointInTime
	withdraw bool
}

func newRestore(g *globals) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore STACK",
		Short: "Restore a stack's data from a snapshot, in place",
		Long: "Restore downloads the data next to the running volume, verifies it, snapshots the present data and swaps " +
			"the two.\n" +
			"The replaced data is kept until the next good snapshot. A restore that failed is not retried " +
			"automatically:\n" +
			"run the same command again, or cancel it with --withdraw.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, pair := range [][]string{{"snapshot", "at", "withdraw"}, {"volume", "withdraw"}} {
				if err := contradicting(cmd, pair...); err != nil {
					return err
				}
			}
			o.At = o.at.Time
			return runRestore(cmd.Context(), g, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.Snapshot, "snapshot", "", "`ID` of the snapshot, or its beginning (default: the newest)")
	cmd.Flags().Var(&o.at, "at", atUsage)
	cmd.Flags().StringArrayVar(&o.Volumes, "volume", nil, "restore only this `VOLUME`; the others and the images stay as they are; may be repeated")
	cmd.Flags().BoolVar(&o.withdraw, "withdraw", false, "cancel a restore that has not been done; the data stays as it is")
	return cmd
}

func runRestore(ctx context.Context, g *globals, stack string, o restoreOptions) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		if o.withdraw {
			return g.withdrawRestore(ctx, a, s, stack)
		}
		p, err := restore.Prepare(ctx, s, stack, o.Options)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}

func (g *globals) withdrawRestore(ctx context.Context, a *app.App, s *deploy.Session, stack string) error {
	if err := a.ForRollback(nil).KeepsRestore(ctx, stack); err != nil {
		return err
	}
	p, err := restore.Withdraw(s, stack)
	if err != nil {
		return err
	}
	return g.carryOut(ctx, p)
}
