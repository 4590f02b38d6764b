package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/exposed"
	"salvor/internal/fleet"
	"salvor/internal/handback"
	"salvor/internal/terminal"
)

type hostReleaseOptions struct{ noSnapshot bool }

func newHostRelease(g *globals) *cobra.Command {
	var o hostReleaseOptions
	cmd := &cobra.Command{
		Use:   "release NAME [STACK…]",
		Short: "Give a host, or some of its stacks, back to its user: everything runs on without Salvor",
		Long: "Release shows what becomes of each stack, names every file that will have secrets in plain text, and asks for the\n" +
			"host's name. A stack whose containers Salvor never made again runs on untouched. Another one gets a folder\n" +
			"with its Compose file, its .env and its secrets, and its containers are made again once. Data stays where it is.\n" +
			"Then no host has the stack any more; its files stay in the repository, and its snapshots on the remotes.\n" +
			"Without STACK, Salvor is removed from the host, and the host from the fleet. After an interruption, run it again.",
		Args: leastArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runHostRelease(cmd.Context(), g, handback.Options{Host: args[0], Stacks: args[1:], NoSnapshot: o.noSnapshot})
		},
	}
	cmd.Flags().BoolVar(&o.noSnapshot, "no-snapshot", false, "take no last snapshot")
	return cmd
}

func runHostRelease(ctx context.Context, g *globals, o handback.Options) error {
	later := &reopened{g: g}
	defer later.close(ctx)
	return g.with(ctx, func(a *app.App) error {
		for i, name := range o.Stacks {
			stack, err := a.Stack(name)
			if err != nil {
				return err
			}
			o.Stacks[i] = stack
		}
		remove := func(ctx context.Context, host string) (exposed.Host, error) {
			now, err := later.app(ctx)
			if err != nil {
				return exposed.Host{}, err
			}
			return now.Hosts.Remove(ctx, host)
		}
		p, err := handback.Prepare(ctx, a.ForHandBack(remove), o)
		if err != nil {
			return err
		}
		r, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		return printReleased(g, r)
	})
}

func printReleased(g *globals, r handback.Receipt) error {
	if g.json {
		return g.printJSON(releasedJSON(r))
	}
	for _, s := range r.Stacks {
		if !s.Gone {
			terminal.Printf(g.Err, "%s\n", released(s))
		}
	}
	for _, left := range r.Pending {
		terminal.Printf(g.Err, "- %s.\n", left)
	}
	if !r.LeftHost {
		return nil
	}
	if len(r.Removed) > 0 {
		terminal.Printf(g.Err, "Removed from %s: %s.\n", r.Host, strings.Join(r.Removed, ", "))
	}
	terminal.Printf(g.Err, "%s is not part of the fleet any more (committed), and has nothing of Salvor.\n", r.Host)
	for _, left := range r.Exposed.StillHas(r.Host) {
		terminal.Printf(g.Err, "- %s.\n", left)
	}
	return nil
}

// released says how a stack that was given back is started from now on.
func released(s agentapi.PlainStack) string {
	runs, untouched, up := "runs on", "", "finds everything up to date"
	if s.Stopped {
		runs, up = "stays stopped", "starts it"
	}
	if len(s.Recreates) == 0 {
		untouched = ", untouched"
	}
	if s.Up == "" {
		return fmt.Sprintf("%s %s%s. Its Compose file is not in %s on the host: the program that started it has that, such as Portainer. Manage it there.", s.Name, runs, untouched, s.Folder)
	}
	return fmt.Sprintf("%s %s in %s%s: %s there %s.", s.Name, runs, s.Folder, untouched, s.Up, up)
}

// releasedJSON is what --json prints.
func releasedJSON(r handback.Receipt) any {
	return struct {
		Schema int `json:"schema"`
		handback.Receipt
	}{fleet.Schema, r}
}
