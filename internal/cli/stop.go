package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
)

func newStop(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "stop STACK SERVICE",
		Short: "Stop a service by hand, until it is started or the stack is applied",
		Long: "Stop is for the moment: nothing is committed. Salvor status and ps say \"stopped by hand\"; the service stays stopped, also\n" +
			"when the host reboots, until salvor start or restart, or until the next salvor apply, whose plan says so.\n" +
			"To stop a whole stack permanently: salvor down STACK.",
		Args: oneService("down"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return control(cmd.Context(), g, agentapi.ActionStop, args)
		},
	}
}
