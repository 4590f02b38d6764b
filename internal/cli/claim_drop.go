package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/claims"
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
		p, err := claims.PrepareDrop(ctx, a.ForClaims(), stack, id)
		if err != nil {
			return err
		}
		_, err = accepted(ctx, g, p)
		return err
	})
}
