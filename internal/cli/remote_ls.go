package cli

import (
	"cmp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fleet"
	"salvor/internal/remotes"
	"salvor/internal/storage"
	"salvor/internal/terminal"
)

func newRemoteLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the declared remotes: what and where they are, and what uses them",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return printRemotes(g, a) })
		},
	}
}

func printRemotes(g *globals, a *app.App) error {
	type row struct {
		Remote  string   `json:"remote"`
		Type    string   `json:"type"`
		Where   string   `json:"where"`
		For     []string `json:"for"`
		Targets []string `json:"targets"`
		Stacks  []string `json:"stacks"`
	}
	rows := []row{}
	needs := func(st fleet.Stack) []fleet.Remote { return a.Needs.Of(st.Name, a.Needs.HostOf(st), a.Lock()).Remotes }
	for _, u := range remotes.New(a.Checkout, a.Record.Open).Uses(needs) {
		rows = append(rows, row{u.Remote.Name, u.Remote.Type, storage.Place(u.Remote), append([]string{}, u.For...), append([]string{}, u.Targets...), append([]string{}, u.Stacks...)})
	}
	if g.json {
		return g.printJSON(struct {
			Schema  int   `json:"schema"`
			Remotes []row `json:"remotes"`
		}{fleet.Schema, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "REMOTE\tTYPE\tWHERE\tFOR\tSTACKS\n")
	for _, r := range rows {
		terminal.Printf(tab, "%s\t%s\t%s\t%s\t%s\n", r.Remote, r.Type, r.Where, cmp.Or(strings.Join(r.For, ", "), "nothing"), strings.Join(r.Stacks, ", "))
	}
	return tab.Flush()
}
