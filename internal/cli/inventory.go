package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/ansible"
	"salvor/internal/app"
	"salvor/internal/terminal"
)

type inventoryOptions struct {
	list bool
	host string
}

func newInventory(g *globals) *cobra.Command {
	var o inventoryOptions
	cmd := &cobra.Command{
		Use:   "inventory --list|--host HOST",
		Short: "Print the hosts as a dynamic inventory of Ansible",
		Long: "Inventory is for an ansible-playbook that you start yourself; salvor ansible needs none. It prints the hosts of the newest\n" +
			"commit, with their pinned keys, and what playbooks/site.yml makes of them. It has no secrets: ansible-playbook logs in with\n" +
			"your own keys, and asks for passwords of vaults itself. Call it from an executable script:\n\n" +
			"  #!/bin/sh\n  exec salvor -C ~/fleet inventory \"$@\"",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.list == (o.host != "") {
				return usage(cmd, "inventory needs --list or --host")
			}
			return runInventory(cmd.Context(), g, o)
		},
	}
	cmd.Flags().BoolVar(&o.list, "list", false, "all hosts, with their variables")
	cmd.Flags().StringVar(&o.host, "host", "", "the variables of one `HOST`")
	return prints("an inventory of Ansible, which is JSON,", cmd)
}

func runInventory(ctx context.Context, g *globals, o inventoryOptions) error {
	return g.with(ctx, func(a *app.App) error {
		f, err := app.ForAnsible(ctx, a)
		if err != nil {
			return err
		}
		if err := f.Confirm(ctx); err != nil {
			return err
		}
		cache, err := app.AnsibleCache()
		if err != nil {
			return err
		}
		at, err := ansible.Keep(ctx, f, cache)
		if err != nil {
			return err
		}
		i, err := ansible.NewInventory(f, at)
		if err != nil {
			return err
		}
		answer := i.List
		if o.host != "" {
			answer = func() ([]byte, error) { return i.Host(o.host) }
		}
		text, err := answer()
		if err != nil {
			return err
		}
		_, err = terminal.Raw(g.Out).Write(append(text, '\n'))
		return err
	})
}
