package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

func newStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show every host and stack: what runs, which host owns it, and the age of its newest snapshot",
		Long:  "Status ends with exit code 13 if a host does not answer, and with 3 if a service that should run does not.",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), g) },
	}
}

func runStatus(ctx context.Context, g *globals) error {
	return g.with(ctx, func(a *app.App) error {
		s, err := a.Session(ctx, g.progress())
		if err != nil {
			return err
		}
		if err := printUncommitted(ctx, g, a); err != nil {
			return err
		}
		all := s.Status(ctx)
		if g.json {
			err = g.printJSON(struct {
				Schema int                 `json:"schema"`
				Hosts  []deploy.HostStatus `json:"hosts"`
			}{1, all})
		} else {
			g.progress().Close()
			err = printStatus(g.Out, all, called(a.Fleet()))
		}
		return errors.Join(err, unwell(all))
	})
}

// unwell is the error of a fleet in which something that ought to run does not.
func unwell(all []deploy.HostStatus) error {
	var silent, down []string
	for _, h := range all {
		if h.Error != "" {
			silent = append(silent, h.Host)
		}
		for _, s := range h.State.Stacks {
			if up, done, of := services(s); s.Verdict != agentapi.VerdictLost && !s.Stopped && up+done < of {
				down = append(down, h.Host+"/"+s.Name)
			}
		}
	}
	switch {
	case len(silent) > 0:
		return fault.WithCode(fmt.Errorf("%s does not answer: %s", terminal.Count(len(silent), "host"), strings.Join(silent, ", ")), fault.Unreachable)
	case len(down) > 0:
		return fault.WithCode(fmt.Errorf("not everything is up: %s", strings.Join(down, ", ")), fault.Partial)
	}
	return nil
}

// called returns how a stack is shown: with what it is called since it was renamed.
func called(f *fleet.Fleet) func(stack string) string {
	return func(stack string) string {
		if st, _ := f.Stack(stack); st.Called != "" {
			return st.Called + " (" + stack + ")"
		}
		return stack
	}
}

func printStatus(w io.Writer, all []deploy.HostStatus, called func(stack string) string) error {
	tab := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "HOST\tSTACK\tCLAIM\tSERVICES\tNEWEST SNAPSHOT\n")
	for _, h := range all {
		for _, name := range h.Placed {
			terminal.Printf(tab, "%s\t%s\t\tunknown\tunknown\n", h.Host, called(name))
		}
		if len(h.State.Stacks) == 0 && len(h.Placed) == 0 {
			terminal.Printf(tab, "%s\t-\t\t\t\n", h.Host)
		}
		for _, s := range h.State.Stacks {
			terminal.Printf(tab, "%s\t%s\t%s\t%s\t%s\n", h.Host, called(s.Name), s.Verdict, servicesUp(s), newest(s))
		}
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	return printTroubles(w, all)
}

// printTroubles writes what follows the table: why a host does not answer, and the
// findings.
func printTroubles(w io.Writer, all []deploy.HostStatus) error {
	var out strings.Builder
	for _, h := range all {
		if h.Error != "" {
			terminal.Printf(&out, "\n%s\n", terminal.Text(h.Error))
		}
		if h.Hint != "" {
			terminal.Printf(&out, "  fix: %s\n", h.Hint)
		}
		for _, f := range h.State.Findings {
			terminal.Printf(&out, "\n%s: %s\n  fix: %s\n", f.Severity, f, f.Fix)
		}
		for _, s := range h.State.Stacks {
			if s.SnapshotUnknown != "" {
				terminal.Printf(&out, "\nthe newest snapshot of %s is not known: %s\n", s.Name, s.SnapshotUnknown)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// services counts those that run, those that ran once to a good end, and all of
// them. A snapshot may hold one still for a moment.
func services(s agentapi.StackState) (up, done, of int) {
	for _, row := range s.Services {
		switch {
		case row.Done:
			done++
		case (row.State == "running" || row.State == "paused") && row.Health != "unhealthy":
			up++
		}
	}
	return up, done, len(s.Services)
}

func servicesUp(s agentapi.StackState) string {
	up, done, of := services(s)
	switch {
	case s.Stopped:
		return "stopped"
	case done == 0:
		return fmt.Sprintf("%d of %d up", up, of)
	}
	return fmt.Sprintf("%d of %d up, %d done", up, of-done, done)
}

// newest says how old the stack's newest snapshot on the remote is.
func newest(s agentapi.StackState) string {
	switch {
	case s.Snapshot != nil:
		return terminal.Duration(time.Since(s.Snapshot.Began)) + " old"
	case len(s.Volumes) == 0:
		return "no data to keep"
	case s.SnapshotUnknown != "":
		return "unknown"
	}
	return "none"
}
