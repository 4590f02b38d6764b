package cli

import "github.com/spf13/cobra"

func newRoutePlan(g *globals) *cobra.Command {
	var one string
	cmd := &cobra.Command{
		Use:   "plan --case FILE#ID",
		Short: "Show which public hostnames labels declare, and what a tunnel gets of them",
		Long:  "Plan reads no host and asks no one. With --case it plays one case of DockFlare's compatibility vectors: containers that start and stop, and what is at Cloudflare before. It prints what Salvor makes of it.",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if one == "" {
				return usage(cmd, "%s needs --case FILE#ID", cmd.CommandPath())
			}
			return runRouteCase(g, one)
		},
	}
	cmd.Flags().StringVar(&one, "case", "", "the case `FILE#ID` of compatibility vectors")
	return cmd
}
