package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/prune"
	"salvor/internal/terminal"
)

func newSnapshotPrune(g *globals) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "prune [STACK…]",
		Short: "Remove the snapshots that the retention does not keep, from this computer",
		Long: "Prune applies keep: from fleet.yaml with your own credentials: for targets that are append_only, where " +
			"hosts delete\n" +
			"nothing, and for any other. It shows the snapshots to remove and asks. A snapshot displaces older ones only " +
			"if it is\n" +
			"proven and its time is plausible. Meanwhile the host of a stack takes no snapshot of it; if the host does " +
			"not answer,\n" +
			"no snapshot of the stack is removed.",
		RunE: func(cmd *cobra.Command, args []string) error { return runPrune(cmd.Context(), g, args, dry) },
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show which snapshots and how many bytes would be removed, and remove nothing")
	return cmd
}

func runPrune(ctx context.Context, g *globals, stacks []string, dry bool) error {
	return g.with(ctx, func(a *app.App) error {
		for i := range stacks {
			var err error
			if stacks[i], err = a.Stack(stacks[i]); err != nil {
				return err
			}
		}
		if dry {
			return printMeasured(ctx, g, a, stacks)
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

func printMeasured(ctx context.Context, g *globals, a *app.App, stacks []string) error {
	planned, text, err := prune.Measure(ctx, a.ForPrune(), stacks...)
	g.progress().Close()
	if err != nil {
		return err
	}
	if g.json {
		return g.printJSON(planned)
	}
	_, err = io.WriteString(g.Out, text)
	for _, p := range planned {
		if p.Why == "" {
			terminal.Printf(g.Out, "%s on %s: %s of data would be removed\n", p.Stack, p.Target, terminal.Bytes(p.Bytes))
		}
	}
	return err
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
