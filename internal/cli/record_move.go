package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/recordmove"
)

func newRecordMove(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "move REMOTE[:PATH]",
		Short: "Move the record to another remote, with everything in it",
		Long: "Move copies every file of the record and reads it back, marks the old place (which is otherwise kept as " +
			"it is),\n" +
			"commits the new one and switches every host to it. If it is interrupted, run it again to continue; run it " +
			"with the\n" +
			"old place to undo it.",
		Args: exactArgs("REMOTE[:PATH]"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRecordMove(cmd.Context(), g, args[0]) },
	}
}

func runRecordMove(ctx context.Context, g *globals, place string) error {
	return g.with(ctx, func(a *app.App) error {
		p, err := recordmove.Prepare(a.ForRecordMove(), place)
		if err != nil {
			return err
		}
		receipt, err := accepted(ctx, g, p)
		if receipt.Kind == "" {
			return err // no run was begun
		}
		return g.finish(&receipt.Receipt, err, receipt.Unreachable)
	})
}
