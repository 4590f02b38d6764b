package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/terminal"
)

type takeOptions struct{ acceptShrunk, acceptLoss, diverged bool }

func newSnapshotTake(g *globals) *cobra.Command {
	var o takeOptions
	cmd := &cobra.Command{
		Use:   "take STACK",
		Short: "Take a snapshot now; it is good once it was read back from the remote",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runTake(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().BoolVar(&o.acceptShrunk, "accept-shrunk", false, "take it even if a volume is empty or much smaller than before")
	cmd.Flags().BoolVar(&o.diverged, "diverged", false, "take it of the data that was moved aside (volume-kept); it is only restored by its id")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "earlier snapshots are permanently gone from the remote: start a new repository there")
	return cmd
}

func runTake(ctx context.Context, g *globals, stack string, o takeOptions) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Kept(stack)
		if err != nil {
			return err
		}
		p, err := s.TakeSnapshot(agentapi.TakeSnapshot{Stack: stack, AcceptShrunk: o.acceptShrunk, AcceptLoss: o.acceptLoss, Diverged: o.diverged})
		if err != nil {
			return err
		}
		r, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		if g.json {
			return g.printJSON(r)
		}
		return printTaken(g, r)
	})
}

func printTaken(g *globals, r agentapi.SnapshotReceipt) error {
	if r.Snapshot.ID == "" {
		_, err := terminal.Printf(g.Out, "%s: %s\n", r.Stack, cmp.Or(r.Why, r.Verified))
		return err
	}
	paused := "without a pause"
	if r.Paused > 0 {
		paused = "paused for " + terminal.Duration(r.Paused)
	}
	said := "snapshot"
	if r.Skipped {
		said, paused = "nothing changed since snapshot", "nothing paused"
	}
	terminal.Printf(g.Out, "%s: %s %.8s: %s in %s, %s; %s\n", r.Stack, said, r.Snapshot.ID, terminal.Bytes(r.Snapshot.Bytes), terminal.Count(r.Snapshot.Files, "file"), paused, cmp.Or(r.Verified, r.Why))
	printFindings(g.page(), r.Findings)
	return nil
}
