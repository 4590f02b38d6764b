package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newSecretRm(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "rm NAME",
		Short: "Remove a secret that nothing uses",
		Long: "Rm removes a secret in a commit. It refuses one that a stack, a remote or something else in fleet.yaml " +
			"uses. Git's\n" +
			"history keeps the encrypted value.",
		Example: "  salvor secret rm notes/OLD_TOKEN",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.Secrets.PrepareRemove(cmd.Context(), args[0])
				if err != nil {
					return nearSecret(a, args[0], err)
				}
				if _, err := accepted(cmd.Context(), g, p); err != nil {
					return err
				}
				terminal.Printf(g.Err, "%s is removed (committed)\n", args[0])
				return nil
			})
		},
	}
}
