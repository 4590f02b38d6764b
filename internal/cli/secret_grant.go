package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newSecretGrant(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "grant NAME RECIPIENT",
		Short: "Add an operator: their age key opens everything from now on",
		Args:  exactArgs("NAME", "RECIPIENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				p, err := a.Keys.PrepareGrant(args[0], args[1])
				if err != nil {
					return err
				}
				if _, err := accepted(cmd.Context(), g, p); err != nil {
					return err
				}
				terminal.Printf(g.Err, "%s is now an operator (committed). The next salvor apply re-encrypts the hosts' "+
					"files; running services are not affected.\n", args[0])
				return nil
			})
		},
	}
}
