package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
)

func newKey(g *globals) *cobra.Command {
	return newGroup("key", "Keys: yours and the recovery key", &cobra.Command{
		Use:   "recovery",
		Short: "Show the recovery key again: it opens everything and has no passphrase",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				key, err := a.Recovery()
				if err != nil {
					return err
				}
				_, err = g.Out.Write(append(key.Secret.Reveal(), '\n'))
				return err
			})
		},
	})
}
