package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newSecretRevoke(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Remove an operator: their key will not open anything new",
		Long: "Revoke encrypts everything again to the other operators, in one commit, with a new recovery key and new " +
			"snapshot\n" +
			"repositories for every stack, and lists the secrets to change, since the operator may have copied their " +
			"values.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRevoke(cmd.Context(), g, args[0]) },
	}
}

func runRevoke(ctx context.Context, g *globals, name string) error {
	question := fmt.Sprintf("Remove operator %s? You will have to print the card again and change every secret.", name)
	if err := g.confirm(question); err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		h, err := a.Keys.Revoke(ctx, name)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Removed operator %s (committed).\n", name)
		if h.OwnToo {
			terminal.Printf(g.Err, "Your identity file also has %s's key: that key does not open anything new from now on.\n", name)
		}
		g.explainRemoval(name, h)
		if err := g.printExposed(exposure{Operator: name, Stacks: h.Stacks, Secrets: h.Exposed}); err != nil {
			return err
		}
		terminal.Printf(g.Err, "\nSalvor can't do this for you: remove %s's access at the Git host, and their SSH keys from hosts/authorized_keys.\n", name)
		return nil
	})
}
