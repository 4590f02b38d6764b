package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/deploy"
)

func newDown(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "down STACK",
		Short: "Stop a stack and keep it stopped; its volumes are kept",
		Args:  exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.amend(cmd.Context(), args[0], (*deploy.Session).Down)
		},
	}
}
