package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/machine/local"
	"salvor/internal/terminal"
)

func newSSH(g *globals) *cobra.Command {
	var tty bool
	cmd := &cobra.Command{
		Use:   "ssh HOST [--] [COMMAND…]",
		Short: "Log in to a host, or run a command there, with its pinned key",
		Long: "Ssh starts OpenSSH's ssh. It trusts only the keys that hosts/known_hosts has for the host, and is offered your own " +
			"keys and\n" +
			"the fleet's SSH key, which is decrypted only if the host takes none of the others, and is never in a file. You are the\n" +
			"user that fleet.yaml names for the host. The exit code is the command's; 255 means that ssh itself failed.",
		Args: leastArgs("HOST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && args[1] == "--" {
				args = slices.Delete(args, 1, 2)
			}
			return runSSH(cmd.Context(), g, args, tty)
		},
	}
	cmd.Flags().SetInterspersed(false) // flags behind HOST are the command's
	cmd.Flags().BoolVarP(&tty, "tty", "t", false, "give the command this terminal; control characters in its output are not escaped")
	return prints("what the host prints", annotated(cmd, firstOnly, "what is run"))
}

func runSSH(ctx context.Context, g *globals, args []string, tty bool) error {
	if local.Find("ssh") == "" {
		return fault.WithHint(errors.New("there is no ssh in PATH"), "install OpenSSH's client: apt install openssh-client")
	}
	return g.with(ctx, func(a *app.App) error {
		client, err := a.Reach.Client(ctx, args[0])
		if err != nil {
			return err
		}
		defer client.Close()
		argv := client.Argv
		if tty {
			argv = slices.Insert(argv, 1, "-t")
		}
		out, errs := terminal.Under(g.Out), terminal.Under(g.Err) // a login has the terminal
		if len(args) > 1 {
			argv = append(append(argv, "--"), args[1:]...)
			if !tty {
				out, errs = terminal.Raw(g.Out), g.Err
			}
		}
		g.progress().Close()
		err = local.Foreground(ctx, argv, g.In, out, errs)
		if why := client.Err(); why != nil {
			return why
		}
		return ended(err)
	})
}
