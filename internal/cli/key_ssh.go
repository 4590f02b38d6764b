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
		Short: "Print the fleet's public SSH key, which a new server must accept",
		Long: "Anyone who can decrypt the repository can log in to every host with the fleet's SSH key, if the host does " +
			"not accept\n" +
			"their own: a second operator, or the recovery card on a new computer. Hosts accept it after their first " +
			"apply; on a\n" +
			"fresh server, add this line to ~/.ssh/authorized_keys, or give it to your provider where it asks for a key.",
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
	cmd.Flags().BoolVar(&rotate, "rotate", false, "replace the key: run it once before and once after an apply; hosts accept both keys in between")
	return cmd
}

func printSSHKey(ctx context.Context, g *globals, a *app.App) error {
	line := a.Keys.SSHKey()
	if line == "" {
		made, err := accepted(ctx, g, a.Keys.PrepareSSHKey())
		if err != nil {
			return err
		}
		line = made.Line
		terminal.Printf(g.Err, "The key is new (committed). After the next salvor apply, every host accepts it.\n")
	}
	return g.printOne("key", line)
}

func rotateSSHKey(ctx context.Context, g *globals, a *app.App) error {
	p, err := a.Keys.PrepareRotateSSHKey()
	if err != nil {
		return err
	}
	key, err := accepted(ctx, g, p)
	switch {
	case err != nil:
		return err
	case !key.Retired:
		terminal.Printf(g.Err, "Every host accepts the new key; the old one was removed (committed). After the next salvor apply, hosts reject it.\n")
	default:
		terminal.Printf(g.Err, "A new key is committed next to the old one. Next: salvor apply, then salvor key ssh --rotate again.\n")
	}
	return nil
}
