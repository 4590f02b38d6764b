package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/dockflare"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/publish"
	"salvor/internal/terminal"
)

type routeAdoptOptions struct{ host, tunnel, state string }

func newRouteAdopt(g *globals) *cobra.Command {
	var o routeAdoptOptions
	cmd := &cobra.Command{
		Use:   "adopt [--host HOST]",
		Short: "Take over what DockFlare has published, while it answers",
		Long: "Adopt reads DockFlare's tunnel, its records and Access applications, and shows what becomes of each hostname. DockFlare's " +
			"controller has to be stopped first; its connector runs on. Then adopt marks as Salvor's what a stack of the host, or " +
			"ingress.routes, declares, and notes the tunnel in fleet.yaml. It applies the host, which starts Salvor's connector as a second one of the " +
			"same tunnel, and stops DockFlare's once Salvor's is ready.\n" +
			"What is not declared stays as it is, and so does what would be less protected than it is now. A run that was interrupted goes on when adopt is called again.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRouteAdopt(cmd.Context(), g, o) },
	}
	cmd.Flags().StringVar(&o.host, "host", "", "the `HOST` on which DockFlare's connector runs (default: the fleet's only one)")
	cmd.Flags().StringVar(&o.tunnel, "tunnel", "", "DockFlare's tunnel, by `NAME` or id (default: the one that its connector serves)")
	cmd.Flags().StringVar(&o.state, "state", "", "DockFlare's state.json as a `FILE`: rules that were made by hand become ingress.routes")
	return cmd
}

func runRouteAdopt(ctx context.Context, g *globals, o routeAdoptOptions) error {
	state, err := readState(o.state)
	if err != nil {
		return err
	}
	var done dockflare.Adoption
	serves := false
	err = g.with(ctx, func(a *app.App) error {
		done, err = takeOver(ctx, g, a, dockflare.Options{Host: o.host, Tunnel: o.tunnel, State: state})
		serves = err == nil && len(done.Files) == 0 && dockflare.Serves(ctx, app.DockFlare(a), done.Host, done.Tunnel)
		return err
	})
	if err != nil {
		return err
	}
	if len(done.Connectors) == 0 {
		terminal.Printf(g.Err, "No connector of DockFlare's runs on %s. Next: salvor apply --host %s\n", done.Host, done.Host)
		return nil
	}
	if !serves {
		if err := runApply(ctx, g, nil, applyOptions{hosts: []string{done.Host}}); err != nil {
			return err
		}
	}
	return g.with(ctx, func(a *app.App) error {
		stopped, err := dockflare.Finish(ctx, app.DockFlare(a), done.Host, done.Tunnel)
		for _, name := range stopped {
			terminal.Printf(g.Err, "%s: %s is stopped; Salvor's connector serves the tunnel %s.\n", done.Host, name, done.Tunnel.Name)
		}
		return err
	})
}

// maxState is far more than DockFlare writes.
const maxState = 64 << 20

func readState(name string) (dockflare.State, error) {
	if name == "" {
		return dockflare.State{}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return dockflare.State{}, fault.WithHint(fmt.Errorf("DockFlare's state can't be read: %w", err), "it is state.json in the folder /app/data of DockFlare's container")
	}
	defer file.Close() // it was only read
	content, err := io.ReadAll(io.LimitReader(file, maxState))
	if err != nil {
		return dockflare.State{}, err
	}
	state, err := dockflare.ReadState(content)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return state, err
}

// takeOver shows what becomes of each hostname, asks, and marks.
func takeOver(ctx context.Context, g *globals, a *app.App, o dockflare.Options) (dockflare.Adoption, error) {
	plan, p, err := dockflare.Prepare(ctx, app.DockFlare(a), o)
	if err != nil {
		return plan, err
	}
	done := plan
	if plan.Left() {
		if err := showAdoption(g, plan); err != nil {
			return plan, err
		}
	}
	if plan.Taken() == 0 {
		return plan, fault.WithHint(errors.New("no hostname of the tunnel "+plan.Tunnel.Name+" can be taken over"), "salvor route plan shows what is declared for "+plan.Host)
	}
	if plan.Left() {
		if done, err = accepted(ctx, g, p); err != nil {
			return done, err
		}
	}
	if g.json {
		return done, g.printJSON(adoptionJSON(done))
	}
	for _, h := range done.Hostnames {
		if h.Why != "" {
			terminal.Printf(g.Err, "%s stays as it is: %s\n", h.Hostname, h.Why)
		}
	}
	terminal.Printf(g.Err, "%s of the tunnel %s have Salvor's mark.\n", terminal.Count(done.Taken(), "hostname"), done.Tunnel.Name)
	return done, nil
}

// showAdoption shows what an adoption will do.
func showAdoption(g *globals, a dockflare.Adoption) error {
	if g.json {
		return nil
	}
	g.progress().Close()
	page := g.page()
	page.Printf("The tunnel %s on %s:\n", a.Tunnel.Name, a.Host)
	for _, h := range a.Hostnames {
		what, owner := terminal.Paint(terminal.Good, adoptionWord(h)), h.Owner
		if h.Why != "" {
			what, owner = terminal.Paint(terminal.Notice, "stays as it is"), h.Why
		}
		page.Table("  ", terminal.Row{h.Hostname, what, owner})
		for _, line := range h.Access {
			page.Printf("      %s\n", line)
		}
		for _, name := range h.Left {
			page.Printf("      its application %s stays in front of it: nothing declares it\n", name)
		}
	}
	for _, m := range a.Manual {
		if m.Why != "" {
			page.Printf("  %s was made by hand, and does not get into ingress.routes: %s\n", m.Rule, m.Why)
		}
	}
	for _, note := range a.Notes {
		page.Printf("  %s\n", note)
	}
	for _, f := range a.Files {
		render.Diff(page, f.Path, f.Before, f.After)
	}
	return page.Err()
}

// adoptionWord says what becomes of a hostname that is taken over.
func adoptionWord(h publish.Adoption) string {
	switch {
	case h.Record == nil && len(h.Apps) == 0:
		return "is Salvor's already"
	case len(h.Apps) > 0:
		return "is taken over, with Access"
	}
	return "is taken over"
}

type adoptionRow struct {
	Hostname string   `json:"hostname"`
	Stack    string   `json:"stack,omitempty"`
	Why      string   `json:"why,omitempty"` // it stays as it is
	Access   []string `json:"access,omitempty"`
}

func adoptionJSON(a dockflare.Adoption) any {
	rows, routes := []adoptionRow{}, []string{}
	for _, h := range a.Hostnames {
		rows = append(rows, adoptionRow{h.Hostname, h.Owner, h.Why, h.Access})
	}
	for _, m := range a.Manual {
		routes = append(routes, strings.TrimSuffix(m.Rule+": "+m.Why, ": "))
	}
	return struct {
		Schema    int           `json:"schema"`
		Host      string        `json:"host"`
		Tunnel    string        `json:"tunnel"`
		Hostnames []adoptionRow `json:"hostnames"`
		Manual    []string      `json:"manual"`
	}{fleet.Schema, a.Host, a.Tunnel.ID, rows, routes}
}
