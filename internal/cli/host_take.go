package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newHostTake(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "take NAME AREA",
		Short: "Let Salvor take care of an area of a host: " + fleet.KnownAreas().String(),
		Long: "Take shows what the next apply would change on the host, and why, and commits the area to fleet.yaml. Until that " +
			"apply nothing changes there.",
		Args: exactArgs("NAME", "AREA"),
		RunE: func(cmd *cobra.Command, args []string) error { return runHostTake(cmd.Context(), g, args[0], args[1]) },
	}
}

func runHostTake(ctx context.Context, g *globals, name, word string) error {
	area, err := controlrepo.ParseArea(word)
	if err != nil {
		return fault.WithCode(err, fault.Usage)
	}
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		p, err := a.Hosts.PrepareTake(name, area)
		if err != nil {
			return err
		}
		if p.Question != "" {
			p.Plan = renderTaken(ctx, a, s, name, area)
		}
		taken, err := accepted(ctx, g, p)
		if err != nil {
			return err
		}
		if !taken {
			terminal.Printf(g.Err, "Salvor takes care of %s on %s already.\n", area, name)
			return nil
		}
		terminal.Printf(g.Err, "Salvor takes care of %s on %s with the next salvor apply (committed).\n", area, name)
		return nil
	})
}

// renderTaken is what an apply would change on a host once an area is Salvor's.
func renderTaken(ctx context.Context, a *app.App, s *deploy.Session, name string, area fleet.Area) string {
	h, _ := a.Fleet().Host(name)
	h.Manage = append(h.Manage.Listed(), area)
	var text strings.Builder
	page := terminal.NewPage(&text, false)
	page.Printf("With the next salvor apply:\n")
	deploy.Itself(ctx, s, h).Render(page)
	page.Printf("\n")
	return text.String()
}
