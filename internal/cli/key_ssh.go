package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newKeySSH(g *globals) *cobra.Command {
	var rotate bool
	cmd := &cobra.Command{
		Use:   "ssh",
		Short: "Print the fleet's public SSH key, to be let in on a new server",
		Long: "Whoever opens the repository reaches every host with the fleet's SSH key, when no key of their own is let in there:\n" +
			"a second operator, and the recovery card on a new computer. Hosts let it in from their first apply on; on a server that\n" +
			"nothing was done to yet, put this line into ~/.ssh/authorized_keys, or where your provider asks for a key.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error {
				if rotate {
					return rotateSSHKey(cmd.Context(), g, a)
				}
				return printSSHKey(cmd.Context(), g, a)
			})
		},
	}
	cmd.Flags().BoolVar(&rotate, "rotate", false, "replace the key: once before and once after an apply, since hosts let in both in between")
	return cmd
}

func printSSHKey(ctx context.Context, g *globals, a *app.App) error {
	line, made, err := a.Keys.SSHKey(ctx)
	if err != nil {
		return err
	}
	if made {
		terminal.Printf(g.Err, "The key is new and committed. salvor apply lets it in on every host.\n")
	}
	return g.printOne("key", line)
}

func rotateSSHKey(ctx context.Context, g *globals, a *app.App) error {
	done, err := a.Keys.RotateSSHKey(ctx)
	switch {
	case err != nil:
		return err
	case done:
		terminal.Printf(g.Err, "Every host lets the new key in; the old one is dropped, committed. salvor apply shuts it out.\n")
	default:
		terminal.Printf(g.Err, "A new key is committed beside the old one. Next: salvor apply, then salvor key ssh --rotate again.\n")
	}
	return nil
}
