package cli

import (
	"cmp"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newHostLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the declared hosts and which areas of them are Salvor's, and what is placed on them",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return printHosts(g, a) })
		},
	}
}

func printHosts(g *globals, a *app.App) error {
	type row struct {
		Host    string   `json:"host"`
		Address string   `json:"address"`
		User    string   `json:"user"`
		Port    int      `json:"port"`
		Areas   []string `json:"areas"`
		Stacks  []string `json:"stacks"`
	}
	rows, lock := []row{}, a.Lock()
	for _, h := range a.Fleet().Hosts {
		rows = append(rows, row{h.Name, h.Address, h.User, h.Port, h.Manage.Words(), append([]string{}, lock.On(h.Name)...)})
	}
	if g.json {
		return g.printJSON(struct {
			Schema int   `json:"schema"`
			Hosts  []row `json:"hosts"`
		}{fleet.Schema, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "HOST\tADDRESS\tAREAS\tSTACKS\n")
	for _, r := range rows {
		terminal.Printf(tab, "%s\t%s@%s:%d\t%s\t%s\n", r.Host, r.User, r.Address, r.Port, cmp.Or(strings.Join(r.Areas, ", "), "none"), strings.Join(r.Stacks, ", "))
	}
	return tab.Flush()
}
