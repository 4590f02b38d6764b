package cli

import (
	"cmp"
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newClaim(g *globals) *cobra.Command {
	return newGroup("claim", "Claims on the record remote: which host owns a stack", newClaimLs(g), newClaimDrop(g))
}

func newClaimLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls [STACK]",
		Short: "List claims, and files among them that the fleet did not sign",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				stack := ""
				if len(args) > 0 {
					stack = args[0]
				}
				rows, err := a.Claims(cmd.Context(), stack)
				if err != nil {
					return err
				}
				return g.printClaims(rows)
			})
		},
	}
}

func (g *globals) printClaims(rows []app.ClaimRow) error {
	if g.json {
		return g.printJSON(struct {
			Schema int            `json:"schema"`
			Claims []app.ClaimRow `json:"claims"`
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

func newClaimDrop(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "drop STACK CLAIM",
		Short: "Delete one of the files among a stack's claims",
		Long: "Drop deletes a file that the fleet did not sign, or a claim that is in the way. Without the claim that " +
			"counts now,\n" +
			"the one before it counts: the host that it names may start the stack while Git does not answer.",
		Args: exactArgs("STACK", "CLAIM"),
		RunE: func(cmd *cobra.Command, args []string) error { return runClaimDrop(cmd.Context(), g, args[0], args[1]) },
	}
}

func runClaimDrop(ctx context.Context, g *globals, stack, id string) error {
	return g.with(ctx, func(a *app.App) error {
		rules, err := a.ClaimRules(ctx, stack, id)
		if err != nil {
			return err
		}
		warning := fmt.Sprintf("This deletes the file %s among the claims of %s.", id, stack)
		if rules {
			warning = fmt.Sprintf("This deletes the claim that gives %s to its host; the previous host may start it "+
				"while Git does not answer. salvor apply writes the claim again.", stack)
		}
		if err := g.confirmName(warning, stack); err != nil {
			return err
		}
		return a.DropClaim(ctx, stack, id)
	})
}
