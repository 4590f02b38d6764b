package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostnames"
)

func newRouteExplain(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [STACK]",
		Short: "Say for each label without effect why, and for each route that is not published",
		Long:  "Explain reads the newest commit. It asks no host and not Cloudflare.",
		Args:  mostArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stack := strings.Join(args, "")
			return offline(cmd.Context(), g, func(a *app.App) error { return explainRoutes(cmd.Context(), g, a, stack) })
		},
	}
}

func explainRoutes(ctx context.Context, g *globals, a *app.App, stack string) error {
	if _, err := printUncommitted(ctx, g, a); err != nil {
		return err
	}
	if stack != "" {
		var err error
		if stack, err = a.Stack(stack); err != nil {
			return err
		}
		if err := a.Broken(stack); err != nil {
			return err
		}
	}
	notes, found := hostnames.Unused(a.Needs.Rendered(), stack), hostnames.Findings(a.Findings())
	if st, known := a.Fleet().Stack(stack); known {
		found = about(found, st)
	}
	if g.json {
		return g.printJSON(struct {
			Schema   int               `json:"schema"`
			Labels   []hostnames.Note  `json:"unused_labels"`
			Findings []finding.Finding `json:"findings"`
		}{fleet.Schema, notes, found})
	}
	page := g.page()
	for _, n := range notes {
		if slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Code == finding.LabelIgnored && f.Subject == n.Place }) {
			continue // the finding says it, and what to write
		}
		page.Printf("%s: %s has no effect: %s\n", n.Place, n.Label, n.Why)
	}
	printFindings(page, found)
	if len(notes)+len(found) == 0 {
		page.Printf("Each label has its effect.\n")
	}
	return page.Err()
}

// about are the findings in a stack's folder.
func about(found []finding.Finding, st fleet.Stack) (in []finding.Finding) {
	for _, f := range found {
		if strings.HasPrefix(f.Subject, st.Dir+"/") {
			in = append(in, f)
		}
	}
	return in
}
