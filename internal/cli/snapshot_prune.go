package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newSnapshotPrune(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "prune [STACK…]",
		Short: "Remove the snapshots that the retention does not keep, from this computer",
		Long: "Prune applies keep: from fleet.yaml with your own credentials: for targets that are append_only, where " +
			"hosts delete\n" +
			"nothing, and for any other. It shows the snapshots to remove and asks. A snapshot displaces older ones only " +
			"if it is\n" +
			"proven and its time is plausible. Meanwhile the host of a stack takes no snapshot of it; if the host does " +
			"not answer,\n" +
			"no snapshot of the stack is removed.",
		RunE: func(cmd *cobra.Command, args []string) error { return runPrune(cmd.Context(), g, args) },
	}
}

func runPrune(ctx context.Context, g *globals, stacks []string) error {
	return g.with(ctx, func(a *app.App) error {
		for i := range stacks {
			stacks[i] = a.Named(stacks[i])
		}
		planned, err := a.Prune.PlanPrune(ctx, stacks...)
		if err != nil {
			return err
		}
		if len(planned) == 0 {
			terminal.Printf(g.Err, "No stack has a snapshot repository on a target yet.\n")
		}
		going, able := printPrunings(g, planned), 0
		for _, p := range planned {
			if p.Why == "" {
				able++
			}
		}
		if able == 0 {
			return g.pruned(planned, nil)
		}
		if err := g.confirm(fmt.Sprintf("Remove %s permanently, and the data that no snapshot needs any more?", terminal.Count(going, "snapshot"))); err != nil {
			return err
		}
		s, err := a.Session(ctx, g.progress())
		if err != nil {
			return err
		}
		return g.pruned(planned, a.Prune.Prune(ctx, planned, s.StandBy))
	})
}

// printPrunings shows what goes, and returns how many snapshots that are.
func printPrunings(g *globals, planned []app.Pruning) (going int) {
	for _, p := range planned {
		if p.Why != "" {
			terminal.Printf(g.Err, "%s on %s: %s\n", p.Stack, p.Target, p.Why)
			continue
		}
		terminal.Printf(g.Err, "%s on %s: %d stay, %d are removed", p.Stack, p.Target, p.Keep, len(p.Forget))
		if p.Aside > 0 {
			terminal.Printf(g.Err, "; %d more stay but do not count: they are not proven, or their time is not plausible", p.Aside)
		}
		terminal.Printf(g.Err, "\n")
		for _, f := range p.Forget {
			terminal.Printf(g.Err, "  - %.8s of %s\n", f.ID, f.Taken.UTC().Format(time.DateTime))
		}
		going += len(p.Forget)
	}
	return going
}

// pruned prints what became of it.
func (g *globals) pruned(all []app.Pruning, err error) error {
	if g.json {
		if printErr := g.printJSON(all); printErr != nil {
			return printErr
		}
		return err
	}
	for _, p := range all {
		if !p.Done {
			continue
		}
		terminal.Printf(g.Out, "%s on %s: %s removed, and %s of data that no snapshot needs any more\n", p.Stack, p.Target, terminal.Count(len(p.Forget), "snapshot"), terminal.Bytes(p.Bytes))
		if p.Lost > 0 {
			terminal.Printf(g.Out, "  %s that the remote lost were removed from the index: salvor snapshot take %s "+
				"uploads again what the host still has\n", terminal.Count(p.Lost, "pack"), p.Stack)
		}
	}
	return err
}
