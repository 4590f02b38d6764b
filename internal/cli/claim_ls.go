package cli

import (
	"cmp"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/claims"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newClaimLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls [STACK]",
		Short: "List claims, and files among them that the fleet did not sign",
		Args:  mostArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				stack := ""
				if len(args) > 0 {
					stack = args[0]
				}
				rows, err := claims.List(cmd.Context(), a.ForClaims(), stack)
				if err == nil && len(rows) == 0 && stack != "" {
					_, err = a.Stack(stack)
				}
				if err != nil {
					return err
				}
				return g.printClaims(rows)
			})
		},
	}
}

func (g *globals) printClaims(rows []claims.Row) error {
	if g.json {
		return g.printJSON(struct {
			Schema int          `json:"schema"`
			Claims []claims.Row `json:"claims"`
		}{fleet.Schema, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "STACK\tEPOCH\tHOST\tCLAIM\tSTATE\n")
	for _, r := range rows {
		state := "superseded"
		if r.Rules {
			state = "rules"
		}
		terminal.Printf(tab, "%s\t%d\t%s\t%s\t%s\n", r.Stack, r.Epoch, cmp.Or(r.Host, "-"), r.ID, cmp.Or(r.Ignored, state))
	}
	return tab.Flush()
}
