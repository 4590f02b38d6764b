package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostnames"
	"salvor/internal/terminal"
)

func newRouteLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "Show public hostnames: what is declared, and what there is of it at Cloudflare",
		Long: "Ls asks the hosts that publish, which say what they saw at their newest look; Cloudflare is not asked. For each hostname it " +
			"shows whether the tunnel has its rule, what it has in DNS, who may in, and whether requests get to the service or why not. " +
			"It ends with exit code 13 if a host does not answer.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runRouteLs(cmd.Context(), g) },
	}
}

func runRouteLs(ctx context.Context, g *globals) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		if err := publishing(a); err != nil {
			return err
		}
		answers := deploy.Routes(ctx, s)
		rows := hostnames.Beside(hostnames.Plan(a.Fleet(), a.Lock(), a.Needs.Rendered()), answers)
		g.progress().Close()
		var err error
		if g.json {
			err = g.printJSON(routesJSON(rows, answers))
		} else {
			err = printListed(g.page(), rows, answers)
		}
		var silent []string
		for _, h := range answers {
			if h.Error != "" {
				silent = append(silent, h.Host)
			}
		}
		return errors.Join(err, unanswered(silent))
	})
}

// printListed prints a line for each hostname, and what hosts found.
func printListed(page *terminal.Page, rows []hostnames.Listed, answers []deploy.HostRoutes) error {
	if len(rows) == 0 {
		page.Printf("No route is declared.\n")
		return page.Err()
	}
	table := []terminal.Row{heading("HOSTNAME", "OWNER", "HOST", "RULE", "RECORD", "ACCESS", "STATE")}
	for _, r := range rows {
		kind, _, _ := strings.Cut(r.Record, " ")
		rule := "-"
		if r.Rule {
			rule = "yes"
		}
		table = append(table, terminal.Row{cmp.Or(r.Hostname+r.Path, "-"), cmp.Or(r.Owner, "-"), cmp.Or(r.Host, "-"), rule, cmp.Or(kind, "-"), cmp.Or(r.Who, "-"), listedState(r)})
	}
	page.Table("", table...)
	for _, h := range answers {
		if h.Error != "" {
			printUnanswered(page, h.Host, "", h.Error, h.Hint)
		}
		printFindings(page, h.List.Findings)
	}
	return page.Err()
}

// listedState says whether requests get to a route, or why not.
func listedState(r hostnames.Listed) string {
	state := r.Why
	if r.Live {
		state = fmt.Sprintf("live, version %d", r.Version)
		if r.Why != "" {
			state += "; " + r.Why
		}
	}
	if !r.Until.IsZero() {
		state += ", goes at " + r.Until.Local().Format(time.DateTime) + " unless a container runs again"
	}
	return state
}

// hostRow is what --json has of a host.
type hostRow struct {
	Host      string    `json:"host"`
	Error     string    `json:"error,omitempty"`
	Hint      string    `json:"hint,omitempty"`
	At        time.Time `json:"at,omitzero"`
	Why       string    `json:"why,omitempty"`
	Tunnel    string    `json:"tunnel,omitempty"`
	Version   int       `json:"version,omitempty"`
	Connector int       `json:"connector,omitempty"`

	Findings []finding.Finding `json:"findings,omitempty"`
}

func routesJSON(rows []hostnames.Listed, answers []deploy.HostRoutes) any {
	hosts := []hostRow{}
	for _, h := range answers {
		hosts = append(hosts, hostRow{h.Host, h.Error, h.Hint, h.List.At, h.List.Why, h.List.Tunnel, h.List.Version, h.List.Connector, h.List.Findings})
	}
	return struct {
		Schema int                `json:"schema"`
		Hosts  []hostRow          `json:"hosts"`
		Routes []hostnames.Listed `json:"routes"`
	}{fleet.Schema, hosts, rows}
}
