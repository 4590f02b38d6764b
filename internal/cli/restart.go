package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
)

func newRestart(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "restart STACK [SERVICE]",
		Short: "Restart a stack's services, or one of them, as they are deployed",
		Long: "Restart starts containers again and waits until they are healthy; nothing is committed, pulled or changed. A service " +
			"that\n" +
			"keeps ending, which Docker restarts after ever longer pauses, starts at once. Services that ran once to a good end are\n" +
			"left alone, and those that were stopped by hand start. A snapshot that is being taken is waited for.",
		Args: cobra.MatchAll(leastArgs("STACK"), mostArgs("STACK", "SERVICE")),
		RunE: func(cmd *cobra.Command, args []string) error {
			return control(cmd.Context(), g, agentapi.ActionRestart, args)
		},
	}
}
