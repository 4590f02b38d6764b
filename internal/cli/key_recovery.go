package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
)

func newKeyRecovery(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "recovery",
		Short: "Show the recovery key again: it opens everything and has no passphrase",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if err := g.keptPrivate("salvor key card --out FILE makes a file that only you can read"); err != nil {
					return err
				}
				key, err := a.FleetKeys.Recovery()
				if err != nil {
					return err
				}
				return g.printOne("key", string(key.Secret.Reveal()))
			})
		},
	}
}
