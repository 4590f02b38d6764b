package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"salvor/internal/ansible"
	"salvor/internal/app"
	"salvor/internal/terminal"
)

func newAnsible(g *globals) *cobra.Command {
	var begin bool
	cmd := &cobra.Command{
		Use:   "ansible PLAYBOOK [--] [ARGS…]",
		Short: "Run an Ansible playbook on the fleet's hosts",
		Long: "Ansible starts ansible-playbook, which gets the hosts of fleet.yaml as its inventory, in the group salvor. It trusts only the\n" +
			"keys that hosts/known_hosts has for them, is offered your own keys and the fleet's SSH key, and gets the passwords of `vaults:`\n" +
			"in fleet.yaml: none of these is in an argument, a variable or a file. ARGS go to ansible-playbook as they are, such as\n" +
			"--check --diff --limit HOST. The exit code is that of ansible-playbook.\n\n" +
			"With --init it commits playbooks/site.yml, if there is none, and playbooks/roles/salvor, as salvor init does for a new fleet.\n" +
			"Run that again after an update of salvor.",
		Args: func(cmd *cobra.Command, args []string) error {
			if begin {
				return exactArgs()(cmd, args)
			}
			return leastArgs("PLAYBOOK")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if begin {
				return runAnsibleInit(cmd.Context(), g)
			}
			if len(args) > 1 && args[1] == "--" {
				args = slices.Delete(args, 1, 2)
			}
			return runAnsible(cmd.Context(), g, args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false) // flags behind PLAYBOOK are ansible-playbook's
	cmd.Flags().BoolVar(&begin, "init", false, "write the playbooks that prepare hosts, or bring their role up to this version")
	return prints("what ansible-playbook prints", annotated(cmd, firstOnly, "what is run"))
}

func runAnsible(ctx context.Context, g *globals, playbook string, args []string) error {
	if err := ansible.Installed(); err != nil {
		return err
	}
	return g.with(ctx, func(a *app.App) error {
		f, err := app.ForAnsible(ctx, a)
		if err != nil {
			return err
		}
		cache, err := app.AnsibleCache()
		if err != nil {
			return err
		}
		play := ansible.Play{Playbook: playbook, Args: args, Cache: cache, In: g.In, Out: terminal.Under(g.Out), Err: terminal.Under(g.Err)}
		g.progress().Close()
		return ended(f.Run(ctx, play))
	})
}

// runAnsibleInit commits the playbooks that the newest commit lacks.
func runAnsibleInit(ctx context.Context, g *globals) error {
	return g.with(ctx, func(a *app.App) error {
		p, err := ansible.PrepareFiles(ansible.Repository{File: a.Checkout.File, Commit: a.Checkout.CommitFiles})
		if err != nil {
			return err
		}
		written, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		if len(written) == 0 {
			_, err = terminal.Printf(g.Err, "The playbooks are those of this version.\n")
			return err
		}
		_, err = terminal.Printf(g.Err, "Next: salvor ansible playbooks/site.yml -- --check --diff\n")
		return err
	})
}
