package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/deploy"
)

func newUp(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "up STACK",
		Short: "Start a stack that was stopped with down",
		Args:  exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.amend(cmd.Context(), args[0], (*deploy.Session).Up)
		},
	}
}
