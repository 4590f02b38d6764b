package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostnames"
	"salvor/internal/terminal"
)

func newRoutePlan(g *globals) *cobra.Command {
	var one string
	cmd := &cobra.Command{
		Use:   "plan [--case FILE#ID]",
		Short: "Show which public hostnames a commit declares, and what tunnels get of them",
		Long: "Plan reads the newest commit. It asks no host and not Cloudflare.\n\nWith --case it plays one case of DockFlare's compatibility vectors instead: containers that start and stop, and what is at " +
			"Cloudflare before. It prints what Salvor makes of it.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if one != "" {
				return runRouteCase(g, one)
			}
			return offline(cmd.Context(), g, func(a *app.App) error { return printRoutes(cmd.Context(), g, a) })
		},
	}
	cmd.Flags().StringVar(&one, "case", "", "play the case `FILE#ID` of compatibility vectors")
	return cmd
}

// offline opens the fleet for what asks no one, so that no journal and no mirror is brought
// to the record.
func offline(ctx context.Context, g *globals, work func(*app.App) error) error {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	if err = publishing(a); err == nil {
		err = work(a)
	}
	return errors.Join(err, a.Close())
}

// publishing refuses a commit whose labels stay labels.
func publishing(a *app.App) error {
	switch i := a.Fleet().Ingress; {
	case i.Publishes():
		return nil
	case i.Provider != "":
		return fault.WithHint(fmt.Errorf("fleet.yaml of the newest commit has ingress: with provider: %s, so Salvor publishes no routes", i.Provider), "provider: cloudflare, then git commit; docs/routes.md")
	}
	return fault.WithHint(errors.New("fleet.yaml of the newest commit has no ingress: with provider: cloudflare, so labels for routes mean nothing"), "docs/routes.md shows what it needs; then git commit")
}

func printRoutes(ctx context.Context, g *globals, a *app.App) error {
	if _, err := printUncommitted(ctx, g, a); err != nil {
		return err
	}
	hosts, found := hostnames.Plan(a.Fleet(), a.Lock(), a.Needs.Rendered()), hostnames.Findings(a.Findings())
	if g.json {
		return g.printJSON(struct {
			Schema   int               `json:"schema"`
			Hosts    []hostnames.Host  `json:"hosts"`
			Findings []finding.Finding `json:"findings"`
		}{fleet.Schema, hosts, found})
	}
	page := g.page()
	if len(hosts) == 0 {
		page.Printf("No route is declared.\n")
	}
	for _, h := range hosts {
		page.Printf("%s:\n", cmp.Or(h.Name, "no host"))
		var out strings.Builder
		tab := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
		for _, r := range h.Routes {
			terminal.Printf(tab, "  %s\t%s\t%s\t%s\n", r.Key().String(), r.Service, r.Owner, reached(r))
		}
		_ = tab.Flush() // into memory
		printLines(page, out.String())
	}
	printFindings(page, found)
	return page.Err()
}

// reached says who reaches a route.
func reached(r hostnames.Route) string {
	if r.Not != "" {
		return "not published"
	}
	return r.Who()
}

// printLines prints text that was laid out as lines.
func printLines(page *terminal.Page, text string) {
	for line := range strings.Lines(text) {
		page.Printf("%s\n", strings.TrimRight(line, " \n"))
	}
}
