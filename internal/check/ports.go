package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A published is one port, or range of ports, that a service takes on its host.
type published struct {
	host, stack, service string
	address              netip.Addr // the zero one for every address
	protocol             string
	first, last          int
}

// portsTaken returns a finding for each two services of one host that publish the
// same port: the second to start fails.
func (c commit) portsTaken() []finding.Finding {
	var all []published
	for _, st := range c.repo.Fleet.Stacks {
		if !c.starts(st) {
			continue
		}
		for _, s := range c.stacks[st.Name].Project.Services {
			if !s.Idle {
				all = append(all, publishedBy(st.Host, st.Name, s)...)
			}
		}
	}
	slices.SortFunc(all, func(a, b published) int { return strings.Compare(a.stack+"/"+a.service, b.stack+"/"+b.service) })
	var found []finding.Finding
	for i, one := range all {
		for _, other := range all[i+1:] {
			if (one.stack != other.stack || one.service != other.service) && one.clashes(other) {
				found = append(found, finding.Finding{
					Code: finding.PortTaken, Severity: finding.Warning, Subject: other.host + "/" + other.stack,
					Text: fmt.Sprintf("%s and %s both publish port %d/%s on %s", one.stack+"/"+one.service, other.stack+"/"+other.service, max(one.first, other.first), one.protocol, one.host),
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

func publishedBy(host, stack string, s project.Service) []published {
	var all []published
	for _, port := range s.Ports {
		first, last, isRange := strings.Cut(port.Published, "-")
		from, err := strconv.Atoi(first)
		to := from
		if err == nil && isRange {
			to, err = strconv.Atoi(last)
		}
		if err != nil || from == 0 {
			continue // the engine chooses one that is free, or a secret is here
		}
		address, _ := netip.ParseAddr(port.Address) // what is not an address is one that we don't know
		if address.IsUnspecified() {
			address = netip.Addr{}
		}
		protocol := port.Protocol
		if protocol == "" {
			protocol = "tcp"
		}
		all = append(all, published{host, stack, s.Name, address, protocol, from, to})
	}
	return all
}

func (p published) clashes(o published) bool {
	sameAddress := !p.address.IsValid() || !o.address.IsValid() || p.address == o.address
	return p.host == o.host && p.protocol == o.protocol && sameAddress && p.first <= o.last && o.first <= p.last
}
