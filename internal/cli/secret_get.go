package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newSecretGet(g *globals) *cobra.Command {
	return prints("the secret's value as it is", &cobra.Command{
		Use:   "get NAME",
		Short: "Print a secret's value, as it is, on standard output",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				value, err := a.Identity.Secret(cmd.Context(), args[0])
				err = nearSecret(a, args[0], err)
				if err == nil {
					_, err = terminal.Raw(g.Out).Write(value.Reveal())
				}
				return err
			})
		},
	})
}
