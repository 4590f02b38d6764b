package cli

import "github.com/spf13/cobra"

func newRoute(g *globals) *cobra.Command {
	return newGroup("route", "Routes: public hostnames of stacks", newRoutePlan(g), newRouteLs(g), newRouteExplain(g), newRouteAdopt(g), newRouteDockFlare(g))
}
