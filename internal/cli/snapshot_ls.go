package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/machine"
	"salvor/internal/parts"
	"salvor/internal/restore"
	"salvor/internal/terminal"
)

type lsOptions struct {
	at        pointInTime
	recursive bool
}

func newSnapshotLs(g *globals) *cobra.Command {
	var o lsOptions
	cmd := &cobra.Command{
		Use:   "ls STACK [ID:/VOLUME/PATH]",
		Short: "List a stack's snapshots on the remote, or the files in one",
		Long: "Ls lists the snapshots as the stack's host sees them; where the stack has no host, or its host does not answer, as this\n" +
			"computer sees them. What is in one is read with your own credentials, also while the\n" +
			"host is lost: ID: has its volumes, ID:/VOLUME/PATH a folder. ID is the beginning of an id, or latest; with --at it is left\n" +
			"out. Owners are numbers, as they are on the host.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) == 2 {
				return nil
			}
			return usage(cmd, "%s needs STACK, and may have ID:/VOLUME/PATH", cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && o.at.IsZero() {
				return runSnapshotLs(cmd.Context(), g, args[0])
			}
			if len(args) == 1 {
				args = append(args, "/")
			}
			return runSnapshotInside(cmd.Context(), g, args, o)
		},
	}
	cmd.Flags().Var(&o.at, "at", atUsage)
	cmd.Flags().BoolVarP(&o.recursive, "recursive", "R", false, "with everything below")
	return cmd
}

func runSnapshotLs(ctx context.Context, g *globals, stack string) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Archived(stack)
		if err != nil {
			return err
		}
		list, err := listed(ctx, g, a, s, stack)
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

// listed asks the stack's host. Where it has none, or that one does not answer, the repositories
// are read with the credentials of this computer.
func listed(ctx context.Context, g *globals, a *app.App, s *deploy.Session, stack string) (agentapi.SnapshotList, error) {
	why := stack + " has no host"
	p, placed := s.Lock.Placement(stack)
	if _, declared := a.Fleet().Host(p.Host); placed && declared {
		list, err := s.Snapshots(ctx, stack)
		if !errors.Is(err, machine.ErrUnreachable) {
			return list, err
		}
		why = err.Error()
	}
	g.progress().Suspend(func() {
		terminal.Printf(g.Err, "%s: the repositories are read with the credentials of this computer\n", terminal.Text(why))
	})
	return (&parts.Reader{Archives: a.Archives(), Sink: g.progress()}).Snapshots(ctx, stack)
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
		terminal.Printf(tab, "%.8s\t%s\t%s\t%s\t%d\t%s\t%.7s\t%s\n", s.ID, s.Began.Local().Format(time.DateTime), terminal.Duration(time.Since(s.Began)),
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
		taken, age = s.Began.Local().Format(time.DateTime), terminal.Duration(time.Since(s.Began))
	}
	terminal.Printf(tab, "%.8s\t%s\t%s\t-\t-\t-\t%.7s\t%s, %s: %s\n", s.ID, taken, age, cmp.Or(s.Commit, "-"), target, restore.Flaw(s), s.Damaged)
}
