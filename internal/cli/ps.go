package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

func newPs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ps [STACK [SERVICE]]",
		Short: "Show what runs: each service with its state, restarts, ports and image",
		Long: "Ps asks the Docker engines of the hosts, and neither Git nor a remote. With a SERVICE it shows all that is known of it. " +
			"Ps ends with exit code 13 if a host does not answer.",
		Args: mostArgs("STACK", "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			args = append(args, "", "")
			return runPs(cmd.Context(), g, args[0], args[1])
		},
	}
}

func runPs(ctx context.Context, g *globals, stack, service string) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		if stack != "" {
			var err error
			if stack, err = a.Stack(stack); err != nil {
				return err
			}
		}
		all, err := s.Services(ctx, stack)
		if err != nil {
			return err
		}
		g.progress().Close()
		if service != "" {
			if err := onlyService(all, service); err != nil {
				return err
			}
		}
		if g.json {
			err = g.printJSON(struct {
				Schema int                   `json:"schema"`
				Hosts  []deploy.HostServices `json:"hosts"`
			}{1, all})
		} else {
			err = printPs(g.page(), all, called(a.Fleet()), service != "")
		}
		var silent []string
		for _, h := range all {
			if h.Error != "" {
				silent = append(silent, h.Host)
			}
		}
		return errors.Join(err, unanswered(silent))
	})
}

// unanswered is the error of hosts that do not answer, nil for none.
func unanswered(hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	return fault.WithCode(fmt.Errorf("%s does not answer: %s", terminal.Count(len(hosts), "host"), strings.Join(hosts, ", ")), fault.Unreachable)
}

// printUnanswered says why a host does not answer, and the next command if there is one.
func printUnanswered(p *terminal.Page, host, more, why, hint string) {
	p.Printf("%s %s%s\n", terminal.Paint(terminal.Strong, host), terminal.Paint(terminal.Bad, "does not answer"), more)
	p.Table("  ", terminal.Row{why})
	if hint != "" {
		p.Table("  ", terminal.Row{"fix: " + hint})
	}
}

func printPs(p *terminal.Page, all []deploy.HostServices, called func(string) string, detailed bool) error {
	for i, h := range all {
		if i > 0 {
			p.Printf("\n")
		}
		if h.Error != "" {
			printUnanswered(p, h.Host, "; its stacks: "+strings.Join(h.Placed, ", "), h.Error, h.Hint)
		}
		for j, s := range h.Stacks {
			if j > 0 {
				p.Printf("\n")
			}
			if detailed {
				printService(p, called(s.Name), h.Host, s.Services)
			} else {
				printServices(p, called(s.Name), h.Host, s)
			}
		}
	}
	return p.Err()
}

func printServices(p *terminal.Page, stack, host string, s agentapi.StackServices) {
	note := ""
	switch {
	case s.Lost:
		note = ": another host has taken it over"
	case s.Stopped:
		note = ": stopped (salvor down)"
	case len(s.Services) == 0:
		note = ": nothing was deployed yet"
	}
	p.Printf("%s on %s%s\n", terminal.Paint(terminal.Strong, stack), host, note)
	printRows(p, s.Services)
}

func printRows(p *terminal.Page, services []agentapi.ServiceRow) {
	if len(services) == 0 {
		return
	}
	rows := []terminal.Row{heading("SERVICE", "STATE", "SINCE", "RESTARTS", "PORTS", "IMAGE")}
	for _, row := range services {
		rows = append(rows, terminal.Row{row.Name, stateOf(row), since(row.Since), restarts(row), strings.Join(row.Ports, " "), project.Tagged(row.Image)})
	}
	p.Table("  ", rows...)
}

// stateOf says how a service is, in the words that people use for it.
func stateOf(row agentapi.ServiceRow) terminal.Painted {
	switch {
	case row.ByHand:
		return terminal.Paint(terminal.Notice, "stopped by hand")
	case row.Done:
		return terminal.Paint(terminal.Faint, "done")
	case row.State == "running" && (row.Health == "" || row.Health == "healthy"):
		return terminal.Paint(terminal.Good, strings.TrimSuffix(row.State+", "+row.Health, ", "))
	case row.State == "running" && row.Health == "starting":
		return terminal.Paint(terminal.Notice, "running, starting")
	case row.State == "running":
		return terminal.Paint(terminal.Bad, "running, "+row.Health)
	case row.State == "paused":
		return terminal.Paint(terminal.Notice, row.State)
	case row.State == "restarting", row.State == "exited":
		return terminal.Paint(terminal.Bad, fmt.Sprintf("%s (%d)", row.State, row.Exit))
	}
	return terminal.Paint(terminal.Bad, row.State)
}

func since(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return age(time.Since(at))
}

func restarts(row agentapi.ServiceRow) any {
	if row.Restarts == 0 {
		return "0"
	}
	return terminal.Paint(terminal.Notice, fmt.Sprint(row.Restarts))
}
