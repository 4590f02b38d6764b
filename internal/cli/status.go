package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/deploy"
)

func newStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show every host and stack: what runs, whose it is, how old its newest snapshot is",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), g) },
	}
}

func runStatus(ctx context.Context, g *globals) error {
	return g.with(ctx, func(a *app.App) error {
		s, err := a.Session(ctx)
		if err != nil {
			return err
		}
		all := s.Status(ctx)
		if g.json {
			return g.printJSON(struct {
				Schema int                 `json:"schema"`
				Hosts  []deploy.HostStatus `json:"hosts"`
			}{1, all})
		}
		return printStatus(g, all)
	})
}

func printStatus(g *globals, all []deploy.HostStatus) error {
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(tab, "HOST\tSTACK\tCLAIM\tSERVICES\tNEWEST SNAPSHOT")
	for _, h := range all {
		if h.Error != "" {
			fmt.Fprintf(tab, "%s\t\t\t%s\t\n", h.Host, h.Error)
			continue
		}
		if len(h.State.Stacks) == 0 {
			fmt.Fprintf(tab, "%s\t-\t\t\t\n", h.Host)
		}
		for _, s := range h.State.Stacks {
			fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", h.Host, s.Name, s.Verdict, servicesUp(s), newest(s))
		}
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	return printFindings(g, all)
}

func printFindings(g *globals, all []deploy.HostStatus) error {
	for _, h := range all {
		for _, f := range h.State.Findings {
			if _, err := fmt.Fprintf(g.Out, "%s: %s\n  fix: %s\n", f.Severity, f, f.Fix); err != nil {
				return err
			}
		}
	}
	return nil
}

// servicesUp counts the services that run; a snapshot may hold one still for a
// moment.
func servicesUp(s agentapi.StackState) string {
	up := 0
	for _, row := range s.Services {
		if (row.State == "running" || row.State == "paused") && row.Health != "unhealthy" {
			up++
		}
	}
	return fmt.Sprintf("%d of %d up", up, len(s.Services))
}

// newest says how old the stack's newest snapshot on the remote is.
func newest(s agentapi.StackState) string {
	switch {
	case s.Snapshot != nil:
		return render.Duration(time.Since(s.Snapshot.Began)) + " old"
	case len(s.Volumes) == 0:
		return "no data to keep"
	}
	return "none"
}
