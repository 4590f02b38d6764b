package cli

import (
	"fmt"

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
			if err := g.confirm(fmt.Sprintf("Let %s open every secret of the fleet, including the recovery key?", args[0])); err != nil {
				return err
			}
			return g.with(cmd.Context(), func(a *app.App) error {
				if err := a.Keys.Grant(cmd.Context(), args[0], args[1]); err != nil {
					return err
				}
				terminal.Printf(g.Err, "%s is now an operator (committed). The next salvor apply re-encrypts the hosts' "+
					"files; running services are not affected.\n", args[0])
				return nil
			})
		},
	}
}
