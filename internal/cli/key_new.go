package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
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
		recipient, path, err := a.Keys.NewKey(passphrase)
		if errors.Is(err, fs.ErrExist) {
			return fault.WithHint(fmt.Errorf("%s already exists: %w", path, err), "--identity FILE for a key elsewhere")
		}
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Your key is %s, %s. It does not open anything yet; an operator must run:\n  salvor secret grant YOUR-NAME %s\n", path, protection(passphrase), recipient)
		return g.printOne("recipient", recipient)
	})
}
