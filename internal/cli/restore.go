package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/proposal"
	"salvor/internal/restore"
	"salvor/internal/terminal"
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
			"run the same command again, or cancel it with --withdraw.\n" +
			"What a host has of its own (host.NAME) is restored into a folder on that host; nothing is replaced.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, pair := range [][]string{{"snapshot", "at", "withdraw"}, {"from", "withdraw"}, {"volume", "withdraw"}} {
				if err := contradicting(cmd, pair...); err != nil {
					return err
				}
			}
			o.At = o.at.Time
			return runRestore(cmd.Context(), g, args[0], o)
		},
	}
	cmd.Flags().StringVar(&o.Snapshot, "snapshot", "", "`ID` of the snapshot, or its beginning (default: the newest)")
	cmd.Flags().StringVar(&o.From, "from", "", "`TARGET` to take it from (default: the first that has the newest)")
	cmd.Flags().Var(&o.at, "at", atUsage)
	cmd.Flags().StringArrayVar(&o.Volumes, "volume", nil, "restore only this `VOLUME`; the others and the images stay as they are; may be repeated")
	cmd.Flags().BoolVar(&o.withdraw, "withdraw", false, "cancel a restore that has not been done; the data stays as it is")
	return cmd
}

func runRestore(ctx context.Context, g *globals, stack string, o restoreOptions) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Kept(stack)
		if err != nil {
			return err
		}
		if host, own := fleet.OwnerOf(stack); own {
			if o.withdraw || !o.At.IsZero() || len(o.Volumes) > 0 {
				return fault.WithCode(errors.New("what a host has of its own is brought back whole and at once: only --snapshot chooses"), fault.Usage)
			}
			return bringBack(ctx, g, deploy.BringBack(s, host, o.Snapshot))
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

// bringBack restores what a host has of its own into a folder there.
func bringBack(ctx context.Context, g *globals, p proposal.Proposal[agentapi.BroughtBack]) error {
	done, err := accepted(ctx, g, p)
	if err != nil {
		return err
	}
	if g.json {
		return g.printJSON(done)
	}
	_, err = terminal.Printf(g.Out, "snapshot %.8s is in %s on the host; nothing that was there has changed\n", done.Snapshot, done.Folder)
	return err
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
