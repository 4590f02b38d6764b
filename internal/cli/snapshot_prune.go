package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/prune"
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
			var err error
			if stacks[i], err = a.Stack(stacks[i]); err != nil {
				return err
			}
		}
		p, err := prune.Prepare(ctx, a.ForPrune(), stacks...)
		if err != nil {
			return err
		}
		pruned, err := accepted(ctx, g, p)
		if err != nil && pruned == nil {
			return err // nothing was begun
		}
		return g.pruned(pruned, err)
	})
}

// pruned prints what became of it.
func (g *globals) pruned(all []prune.Pruning, err error) error {
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
