package cli

import (
	"context"

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
	return g.with(ctx, func(a *app.App) error {
		p, err := a.Keys.PrepareRevoke(name)
		if err != nil {
			return err
		}
		r, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Removed operator %s (committed).\n", name)
		if r.OwnToo {
			terminal.Printf(g.Err, "Your identity file also has %s's key: that key does not open anything new from now on.\n", name)
		}
		g.explainRemoval(name, r)
		if err := g.printExposed(exposure{Operator: name, Stacks: r.Stacks, Secrets: r.Exposed}); err != nil {
			return err
		}
		terminal.Printf(g.Err, "\nSalvor can't do this for you: remove %s's access at the Git host, and their SSH keys from hosts/authorized_keys.\n", name)
		return nil
	})
}
