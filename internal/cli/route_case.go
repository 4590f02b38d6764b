package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"salvor/internal/fault"
	"salvor/internal/route"
	"salvor/internal/routecase"
	"salvor/internal/terminal"
)

// runRouteCase plays one case of compatibility vectors, FILE#ID.
func runRouteCase(g *globals, name string) error {
	path, id, _ := strings.Cut(name, "#")
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the case's file can't be read: %w", err)
	}
	c, err := routecase.Read(content, id)
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", path, err), "salvor route plan --case FILE#ID; docs/routes.md shows a case")
	}
	played := c.Play()
	if g.json {
		return g.printJSON(played)
	}
	page := g.page()
	for _, at := range played.Checkpoints {
		page.Printf("After %q:\n", at.After)
		printRules(page, at.Expected.Ingress)
		page.Printf("\n")
	}
	printRules(page, played.Ingress)
	printFindings(page, played.Findings)
	return page.Err()
}

// printRules prints a list of rules for a person.
func printRules(page *terminal.Page, rules []route.Rule) {
	var out strings.Builder
	tab := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	for _, r := range rules {
		terminal.Printf(tab, "%s\t%s\t%s\n", cmp.Or(r.Hostname, "*"), r.Path, r.Service)
	}
	_ = tab.Flush() // into memory
	printLines(page, out.String())
}
