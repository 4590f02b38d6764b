package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/stack"
	"salvor/internal/terminal"
)

func newLogs(g *globals) *cobra.Command {
	var o stack.LogOptions
	cmd := &cobra.Command{
		Use:   "logs STACK [SERVICE…]",
		Short: "Print a stack's logs",
		Args:  leastArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Services = args[1:]
			return g.onHost(cmd.Context(), args[0], func(h *stack.Host, name string) error { return h.Logs(cmd.Context(), name, terminal.Raw(g.Out), o) })
		},
	}
	cmd.Flags().BoolVarP(&o.Follow, "follow", "f", false, "keep printing until interrupted")
	cmd.Flags().IntVarP(&o.Tail, "tail", "n", 0, "only the last `LINES` of each service")
	cmd.Flags().BoolVarP(&o.Timestamps, "timestamps", "t", false, "with the time of each line")
	return prints("what the services print", annotated(cmd, firstOnly, "services"))
}
