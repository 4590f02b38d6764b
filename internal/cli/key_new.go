package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newKeyNew(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a key for yourself in a fleet that others started; an operator then grants it with salvor secret grant",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runKeyNew(cmd.Context(), g) },
	}
	g.noPassphraseFlag(cmd)
	return cmd
}

func runKeyNew(ctx context.Context, g *globals) error {
	passphrase, err := g.newPassphrase()
	if err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		p, err := a.Keys.PrepareNew(passphrase)
		if err != nil {
			return err
		}
		made, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Your key is %s, %s. It does not open anything yet; an operator must run:\n  salvor secret grant YOUR-NAME %s\n", made.Path, protection(passphrase), made.Recipient)
		return g.printOne("recipient", made.Recipient)
	})
}
