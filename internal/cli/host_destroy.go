package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newHostDestroy(g *globals) *cobra.Command {
	var server string
	cmd := &cobra.Command{
		Use:   "destroy NAME",
		Short: "Take away the server that host create made, with its disk, and remove the host from the fleet",
		Long: "Destroy is for hosts that host create or recover --create made; it asks for the host's name. A host that has stacks is refused. " +
			"If it is interrupted, run it again.\nWith --server it takes away a server that no host has, as doctor lists it.",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if server != "" {
				return runTakeAway(cmd.Context(), g, args[0], server)
			}
			return runHostDestroy(cmd.Context(), g, args[0])
		},
	}
	cmd.Flags().StringVar(&server, "server", "", "`PROVIDER:REGION/ID` of a server that was made for NAME and that no host has")
	return cmd
}

func runHostDestroy(ctx context.Context, g *globals, name string) error {
	return g.with(ctx, func(a *app.App) error {
		server, err := a.Servers.Made(name)
		if err != nil {
			return err
		}
		provider, err := app.Cloud(ctx, a, server.Provider, server.Region)
		if err != nil {
			return err
		}
		p, err := a.Servers.PrepareDestroy(name, provider)
		if err != nil {
			return err
		}
		gone, _ := a.Fleet().Host(name)
		r, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "The server of %s is gone, and %[1]s is not part of %s any more (committed).\n", name, a.Fleet().Name)
		left := r.StillHas(name)[:1] // its disk is gone: what can be used again is what others still accept
		for _, line := range left {
			terminal.Printf(g.Err, "- %s.\n", line)
		}
		if line := a.ForgetInTailnet(ctx, gone); line != "" {
			terminal.Printf(g.Err, "- %s.\n", line)
		}
		return g.printDestroyed(name, server)
	})
}

func runTakeAway(ctx context.Context, g *globals, name, text string) error {
	server, err := fleet.ParseServer(text)
	if err != nil {
		return fault.WithCode(err, fault.Usage)
	}
	return g.with(ctx, func(a *app.App) error {
		provider, err := app.Cloud(ctx, a, server.Provider, server.Region)
		if err != nil {
			return err
		}
		p, err := a.Servers.PrepareTakeAway(ctx, name, server, provider)
		if err != nil {
			return err
		}
		gone, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		terminal.Printf(g.Err, "Taken away: %s.\n", gone.Has())
		return g.printDestroyed(name, server)
	})
}

// printDestroyed is the result for scripts.
func (g *output) printDestroyed(host string, server fleet.Server) error {
	if !g.json {
		return nil
	}
	return g.printJSON(struct {
		Schema int    `json:"schema"`
		Host   string `json:"host"`
		Server string `json:"server"`
	}{fleet.Schema, host, server.String()})
}
