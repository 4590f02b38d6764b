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
		Short: "Remove an operator: their key opens nothing that comes",
		Long: "Revoke encrypts everything anew to the other operators, in one commit, with a new recovery key and new snapshot\n" +
			"repositories for every stack, and lists the secrets to change: what somebody has seen stays seen.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRevoke(cmd.Context(), g, args[0]) },
	}
}

func runRevoke(ctx context.Context, g *globals, name string) error {
	question := fmt.Sprintf("Remove the operator %s? The card has to be printed again, and every secret changed.", name)
	if err := g.confirm(question); err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		h, err := a.Keys.Revoke(ctx, name)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "%s is no operator any more, committed.\n", name)
		if h.OwnToo {
			terminal.Printf(g.Err, "Your identity file has %s's key too: it opens nothing new from now on.\n", name)
		}
		g.explainRemoval(name, h)
		if err := g.printRotations(handover{Operator: name, Stacks: h.Stacks, Secrets: h.Rotate}); err != nil {
			return err
		}
		terminal.Printf(g.Err, "\nWhere Salvor can't: take %s's access away at the Git host, and an SSH key of theirs out of hosts/authorized_keys.\n", name)
		return nil
	})
}
