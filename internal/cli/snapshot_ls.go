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
	"salvor/internal/restore"
	"salvor/internal/terminal"
)

func newSnapshotLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls STACK",
		Short: "List a stack's snapshots on the remote",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runSnapshotLs(cmd.Context(), g, args[0]) },
	}
}

func runSnapshotLs(ctx context.Context, g *globals, stack string) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		list, err := s.Snapshots(ctx, stack)
		if err != nil {
			return err
		}
		if g.json {
			return g.printJSON(list)
		}
		printFindings(g.page(), list.Findings)
		for _, t := range list.Silent {
			terminal.Printf(g.Err, "target %s does not answer: %s\n", t.Name, t.Why)
		}
		return printSnapshots(g.Out, list)
	})
}

func printSnapshots(w io.Writer, list agentapi.SnapshotList) error {
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
			target += " (of an epoch that the stack has not reached: it does not count)"
		case s.Unproven:
			target += " (not proven: restore it by its id)"
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
