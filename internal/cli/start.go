package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
)

func newStart(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "start STACK SERVICE",
		Short: "Start a service that was stopped by hand, as it is deployed",
		Long:  "Start also starts the services that it depends on, and waits until it is healthy. For a whole stack: salvor up STACK.",
		Args:  oneService("up"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return control(cmd.Context(), g, agentapi.ActionStart, args)
		},
	}
}
