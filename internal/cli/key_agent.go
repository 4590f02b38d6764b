package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/keyagent"
	"salvor/internal/terminal"
)

// newKeyAgent is the process that salvor key unlock starts; people do not type it.
func newKeyAgent(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:    "agent",
		Short:  "Keep a key open (salvor key unlock starts it)",
		Hidden: true,
		Args:   exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return keyagent.Serve(cmd.Context(), g.In, terminal.Under(g.Out))
		},
	}
}
