package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newHostRemove(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a lost host from the fleet, and list the secrets that its disk could open",
		Args:  exactArgs("NAME"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runHostRemove(cmd.Context(), g, args[0]) },
	}
}

func runHostRemove(ctx context.Context, g *globals, name string) error {
	return g.with(ctx, func(a *app.App) error {
		p, err := a.Hosts.PrepareRemove(name)
		if err != nil {
			return err
		}
		gone, _ := a.Fleet().Host(name)
		r, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Removed host %s from fleet %s (committed).\n", name, a.Fleet().Name)
		for _, left := range r.StillHas(name) {
			terminal.Printf(g.Err, "- %s.\n", left)
		}
		if left := a.ForgetInTailnet(ctx, gone); left != "" {
			terminal.Printf(g.Err, "- %s.\n", left)
		}
		if gone.Server != (fleet.Server{}) {
			terminal.Printf(g.Err, "- its server is still there: salvor host destroy %s --server %s.\n", name, gone.Server)
		}
		if len(r.Secrets) > 0 {
			terminal.Printf(g.Err, "\n"+
				"Its disk can open the secrets of its stacks, and their snapshots if it can reach the remote. Unless "+
				"that disk is\n"+
				"wiped, or encrypted and off:\n")
			g.explainExposed(r.Secrets, "")
		}
		return g.printExposed(exposure{Host: name, Stacks: r.Stacks, Secrets: r.Secrets})
	})
}
