package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
)

func newClaimDrop(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "drop STACK CLAIM",
		Short: "Delete one of the files among a stack's claims",
		Long: "Drop deletes a file that the fleet did not sign, or a claim that is in the way. Without the claim that " +
			"counts now,\n" +
			"the one before it counts: the host that it names may start the stack while Git does not answer.",
		Args: exactArgs("STACK", "CLAIM"),
		RunE: func(cmd *cobra.Command, args []string) error { return runClaimDrop(cmd.Context(), g, args[0], args[1]) },
	}
}

func runClaimDrop(ctx context.Context, g *globals, stack, id string) error {
	return g.with(ctx, func(a *app.App) error {
		rules, err := a.Record.ClaimRules(ctx, stack, id)
		if err != nil {
			return err
		}
		warning := fmt.Sprintf("This deletes the file %s among the claims of %s.", id, stack)
		if rules {
			warning = fmt.Sprintf("This deletes the claim that gives %s to its host; the previous host may start it "+
				"while Git does not answer. salvor apply writes the claim again.", stack)
		}
		if err := g.confirmName(warning, stack); err != nil {
			return err
		}
		return a.Record.DropClaim(ctx, stack, id)
	})
}
