package cli

import (
	"cmp"
	"context"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/placement"
	"salvor/internal/restore"
	"salvor/internal/terminal"
)

func newSnapshot(g *globals) *cobra.Command {
	return newGroup("snapshot", "Snapshots: the data of a stack, on the remote and read back", newSnapshotTake(g), newSnapshotLs(g), newSnapshotPrune(g))
}

type takeOptions struct{ acceptShrunk, acceptLoss, diverged bool }

func newSnapshotTake(g *globals) *cobra.Command {
	var o takeOptions
	cmd := &cobra.Command{
		Use:   "take STACK",
		Short: "Take a snapshot now; it is good once it was read back from the remote",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runTake(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().BoolVar(&o.acceptShrunk, "accept-shrunk", false, "an empty or much smaller volume is meant")
	cmd.Flags().BoolVar(&o.diverged, "diverged", false, "of the data that was moved aside (volume-kept); it comes back only by its id")
	cmd.Flags().BoolVar(&o.acceptLoss, "accept-loss", false, "earlier snapshots are gone from the remote for good: begin a new repository there")
	return cmd
}

func runTake(ctx context.Context, g *globals, stack string, o takeOptions) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack := a.Named(stack)
		p, err := placement.Of(s.Lock, stack)
		if err != nil {
			return err
		}
		var r agentapi.SnapshotReceipt
		req := agentapi.TakeSnapshot{Stack: stack, AcceptShrunk: o.acceptShrunk, AcceptLoss: o.acceptLoss, Diverged: o.diverged}
		if err := s.Call(ctx, p.Host, agentapi.VerbSnapshot, req, &r); err != nil {
			return err
		}
		if g.json {
			return g.printJSON(r)
		}
		return printTaken(g, r)
	})
}

func newSnapshotLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls STACK",
		Short: "List a stack's snapshots as they lie on the remote",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runSnapshotLs(cmd.Context(), g, args[0]) },
	}
}

func runSnapshotLs(ctx context.Context, g *globals, stack string) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		list, err := s.Snapshots(ctx, a.Named(stack))
		if err != nil {
			return err
		}
		if g.json {
			return g.printJSON(list)
		}
		return printSnapshots(g.Out, list)
	})
}

func printSnapshots(w io.Writer, list agentapi.SnapshotList) error {
	printFindings(w, list.Findings)
	if len(list.Snapshots) == 0 {
		_, err := terminal.Printf(w, "%s has no snapshot yet.\n", list.Stack)
		return err
	}
	tab := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "SNAPSHOT\tTAKEN\tAGE\tSIZE\tFILES\tDUMP LOADED\tCOMMIT\tTARGET\n")
	for _, s := range list.Snapshots {
		target := s.Target
		if s.Diverged {
			target += " (diverged: restore it by its id)"
		}
		switch {
		case s.Future:
			target += " (of an epoch that the stack has not reached: it counts for nothing)"
		case s.Unproven:
			target += " (not known to be proven: restore it by its id)"
		}
		if s.Former > 0 {
			target += ", former repository"
		}
		if s.Damaged != "" {
			printDamaged(tab, s, target)
			continue
		}
		terminal.Printf(tab, "%.8s\t%s\t%s\t%s\t%d\t%s\t%.7s\t%s\n", s.ID, s.Began.Format(time.DateTime), terminal.Duration(time.Since(s.Began)),
			terminal.Bytes(s.Bytes), s.Files, loaded(s.Loaded), s.Commit, target)
	}
	return tab.Flush()
}

// loaded is when a dump was last loaded for a try.
func loaded(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Format(time.DateTime)
}

// printDamaged prints the row of a snapshot of which not everything is known.
func printDamaged(tab io.Writer, s agentapi.SnapshotRow, target string) {
	taken, age := "-", "-"
	if !s.Began.IsZero() {
		taken, age = s.Began.Format(time.DateTime), terminal.Duration(time.Since(s.Began))
	}
	terminal.Printf(tab, "%.8s\t%s\t%s\t-\t-\t-\t%.7s\t%s, %s: %s\n", s.ID, taken, age, cmp.Or(s.Commit, "-"), target, restore.Flaw(s), s.Damaged)
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
	printFindings(g.Out, r.Findings)
	return nil
}

func printFindings(w io.Writer, found []finding.Finding) {
	for _, f := range found {
		terminal.Printf(w, "  %s  %s: %s\n", f.Severity, f.Subject, f.Text)
		if f.Fix != "" {
			terminal.Printf(w, "  fix: %s\n", f.Fix)
		}
	}
}
