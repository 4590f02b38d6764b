package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/project"
	nearest "salvor/internal/suggest"
	"salvor/internal/terminal"
)

// onlyService leaves of the services of a stack those of one name. A host that does not
// answer stays as it is.
func onlyService(all []deploy.HostServices, name string) error {
	for _, h := range all {
		for i, s := range h.Stacks {
			var known []string
			for _, row := range s.Services {
				known = append(known, row.Name)
			}
			if !slices.Contains(known, name) {
				return fault.WithHint(fmt.Errorf("stack %s has no service %q%s", s.Name, name, nearest.DidYouMean(name, known)), "salvor ps "+s.Name)
			}
			h.Stacks[i].Services = slices.DeleteFunc(s.Services, func(row agentapi.ServiceRow) bool { return row.Name != name })
		}
	}
	return nil
}

// printService writes all that is known of one service, a block for each of its
// containers.
func printService(p *terminal.Page, stack, host string, services []agentapi.ServiceRow) {
	for i, row := range services {
		if i > 0 {
			p.Printf("\n")
		}
		p.Printf("%s of %s on %s\n", terminal.Paint(terminal.Strong, row.Name), stack, host)
		var rows []terminal.Row
		for _, line := range []struct {
			name string
			text any
			has  bool
		}{
			{"STATE", stateOf(row), true},
			{"ERROR", row.Error, row.Error != ""},
			{"SINCE", row.Since.UTC().Format(time.DateTime) + " UTC, " + since(row.Since) + " ago", !row.Since.IsZero()},
			{"RESTARTS", restarts(row), true},
			{"LAST EXIT", fmt.Sprint(row.Exit), row.Exit != 0},
			{"PORTS", strings.Join(row.Ports, " "), len(row.Ports) > 0},
			{"IMAGE", project.Tagged(row.Image), true},
			{"DIGEST", project.Digest(row.Image), project.Digested(row.Image)},
			{"CONTAINER", row.Container, row.Container != ""},
		} {
			if line.has {
				rows = append(rows, terminal.Row{terminal.Paint(terminal.Faint, line.name), line.text})
			}
		}
		p.Table("  ", rows...)
	}
}
