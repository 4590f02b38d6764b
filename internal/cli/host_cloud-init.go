package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newHostCloudInit(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "cloud-init NAME",
		Short: "Print user-data with which any cloud makes a server that host add takes without asking",
		Long: "Cloud-init prints what to paste where a provider asks for user-data (cloud-init): the server lets the fleet's SSH key in as " +
			"root, no password, and has a host key that this clone knows. salvor host add NAME root@ADDRESS then takes that key without " +
			"asking, has the server make another one, and pins that. The text has the private half of that first key: it is for one server.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHostCloudInit(cmd.Context(), g, args[0]) },
	}
}

func runHostCloudInit(ctx context.Context, g *globals, name string) error {
	if err := withSSHKey(ctx, g); err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		data, err := a.Servers.NewUserData(name)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "For one server alone. Once it runs, on this clone: salvor host add %s root@ADDRESS\n", name)
		if g.json {
			return g.printOne("user_data", string(data.Reveal()))
		}
		_, err = g.Out.Write(data.Reveal())
		return err
	})
}
