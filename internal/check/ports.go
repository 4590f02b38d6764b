package check

import (
	"fmt"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A published is one port, or range of ports, that a service takes on its host.
type published struct {
	host, service string // the service with its stack
	position      string // in its Compose file
	project.HostPort
}

// portsTaken returns a finding for each two services of one host that publish the
// same port: the second to start fails.
func (c commit) portsTaken() []finding.Finding {
	var all []published
	for _, st := range c.repo.Fleet.Stacks {
		if !c.starts(st) {
			continue
		}
		for _, port := range c.stacks[st.Name].Published {
			if one, fixed := publishedOn(st, port); fixed {
				all = append(all, one)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b published) int { return strings.Compare(a.service, b.service) })
	var found []finding.Finding
	for i, one := range all {
		for _, other := range all[i+1:] {
			if port := one.common(other); port != 0 && one.service != other.service {
				found = append(found, finding.Finding{
					Code: finding.PortTaken, Severity: finding.Warning, Subject: other.position,
					Text: fmt.Sprintf("%s and %s both publish port %d/%s on %s", one.service, other.service, port, one.Protocol, one.host),
					Fix:  "change the published port of one of them",
				})
			}
		}
	}
	return found
}

// starts reports whether a deploy starts a stack.
func (c commit) starts(st fleet.Stack) bool {
	p, placed := c.repo.Lock.Placement(st.Name)
	return st.Host != "" && (!placed || !p.Stopped)
}

// publishedOn is a port of a stack on its host. It is not fixed where the engine chooses one
// that is free, or a secret is here.
func publishedOn(st fleet.Stack, port project.Published) (_ published, fixed bool) {
	taken, fixed := port.OnHost()
	return published{st.Host, st.Name + "/" + port.Service, port.Position, taken}, fixed
}

// common returns the first port that both take; 0 for none.
func (p published) common(o published) int {
	if p.host != o.host {
		return 0
	}
	return p.Common(o.HostPort)
}
