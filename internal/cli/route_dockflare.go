package cli

import (
	"context"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/dockflare"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newRouteDockFlare(g *globals) *cobra.Command {
	var host string
	cmd := &cobra.Command{
		Use:   "dockflare [--host HOST]",
		Short: "Run DockFlare as a stack: it publishes, and Salvor leaves labels alone",
		Long: "Dockflare writes stacks/dockflare/compose.yaml: DockFlare, a proxy that gives it a part of Docker's socket, and a volume " +
			"for what its wizard gets, which snapshots have. It sets ingress: {provider: dockflare} in fleet.yaml, with which Salvor " +
			"changes nothing at Cloudflare. Both are one commit, after a question.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRouteDockFlare(cmd.Context(), g, host) },
	}
	cmd.Flags().StringVar(&host, "host", "", "the `HOST` that runs it (default: the fleet's only one)")
	return cmd
}

func runRouteDockFlare(ctx context.Context, g *globals, host string) error {
	return g.with(ctx, func(a *app.App) error {
		w, p, err := dockflare.PrepareStack(a.Checkout, host)
		if err != nil {
			return err
		}
		if len(w.Files) > 0 {
			if err := printWritten(g, w); err != nil {
				return err
			}
			if w, err = accepted(ctx, g, p); err != nil {
				return err
			}
		}
		if g.json {
			return g.printJSON(writtenJSON(w))
		}
		if len(w.Files) == 0 {
			terminal.Printf(g.Err, "DockFlare publishes already, as the stack %s. Nothing was written.\n", dockflare.Stack)
			return nil
		}
		terminal.Printf(g.Err, "Committed; nothing changed on %s.\nNext: salvor apply, then open http://127.0.0.1:5000 through ssh -L 5000:127.0.0.1:5000 to %s\n", w.Host, w.Host)
		return nil
	})
}

// printWritten shows what becomes of the repository's files.
func printWritten(g *globals, w dockflare.Written) error {
	if g.json {
		return nil
	}
	g.progress().Close()
	page := g.page()
	for _, f := range w.Files {
		render.Diff(page, f.Path, f.Before, f.After)
	}
	return page.Err()
}

func writtenJSON(w dockflare.Written) any {
	files := []string{}
	for _, f := range w.Files {
		files = append(files, f.Path)
	}
	return struct {
		Schema int      `json:"schema"`
		Host   string   `json:"host"`
		Files  []string `json:"committed"`
	}{fleet.Schema, w.Host, files}
}
