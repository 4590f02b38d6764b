package hostnames

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
)

// A Listed is what is declared beside what there is of it. For a host that does not answer and
// has no declared route it has that alone.
type Listed struct {
	Hostname string    `json:"hostname,omitempty"`
	Path     string    `json:"path,omitempty"`
	Owner    string    `json:"stack,omitempty"` // or host.NAME
	Host     string    `json:"host"`
	Service  string    `json:"service,omitempty"`
	Who      string    `json:"access,omitempty"`  // who may in: "everyone", access groups
	Declared bool      `json:"declared"`          // the newest commit has it for this host
	Rule     bool      `json:"rule"`              // the host's tunnel has its rule
	Record   string    `json:"record,omitempty"`  // what the hostname has in DNS
	Guarded  bool      `json:"guarded"`           // an Access application is in front of it
	Live     bool      `json:"live"`              // requests get to the service
	Version  int       `json:"version,omitempty"` // of the rules that the connector has
	Until    time.Time `json:"until,omitzero"`    // it goes then, unless a container runs again
	Why      string    `json:"why,omitempty"`     // it is not live
}

// Beside puts what hosts answered beside what a commit declares, by host, hostname, path and
// owner.
func Beside(declared []Host, answers []deploy.HostRoutes) []Listed {
	all := []Listed{}
	for _, h := range declared {
		i := slices.IndexFunc(answers, func(a deploy.HostRoutes) bool { return a.Host == h.Name })
		for _, r := range h.Routes {
			l := Listed{Hostname: r.Hostname, Path: r.Path, Owner: r.Owner, Host: h.Name, Service: r.Service, Who: r.Who(), Declared: true, Why: r.Not}
			if i >= 0 {
				l.compare(answers[i])
			} else {
				l.Why = cmp.Or(l.Why, "no host has it yet: salvor apply")
			}
			all = append(all, l)
		}
	}
	for _, a := range answers {
		all = append(all, undeclared(a, all)...)
	}
	slices.SortStableFunc(all, func(a, b Listed) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Hostname, b.Hostname), strings.Compare(a.Path, b.Path), strings.Compare(a.Owner, b.Owner))
	})
	return all
}

// compare says what the host has of a declared route.
func (l *Listed) compare(a deploy.HostRoutes) {
	if a.Error != "" {
		l.Why = silent(a.Host)
		return
	}
	i := slices.IndexFunc(a.List.Routes, l.is)
	if i < 0 {
		l.Why = cmp.Or(l.Why, "the host does not have it yet: salvor apply")
		return
	}
	l.actual(a.List, a.List.Routes[i])
}

func silent(host string) string { return host + " does not answer" }

func (l *Listed) is(r agentapi.RouteRow) bool {
	return r.Hostname == l.Hostname && r.Path == l.Path && r.Owner == l.Owner
}

func (l *Listed) actual(list agentapi.RouteList, r agentapi.RouteRow) {
	l.Rule, l.Record, l.Guarded, l.Live, l.Until, l.Version = r.Rule, r.Record, r.Guarded, r.Live, r.Until, list.Connector
	if !l.Live {
		l.Why = cmp.Or(r.Why, l.Why, list.Why, "it is not live yet")
	}
}

// undeclared are the rows of what a host has and the commit does not declare for it, and of a
// host that says nothing.
func undeclared(a deploy.HostRoutes, declared []Listed) (all []Listed) {
	if a.Error != "" && !slices.ContainsFunc(declared, func(l Listed) bool { return l.Host == a.Host }) {
		return []Listed{{Host: a.Host, Why: silent(a.Host)}}
	}
	for _, r := range a.List.Routes {
		l := Listed{Hostname: r.Hostname, Path: r.Path, Owner: r.Owner, Host: a.Host, Service: r.Service, Who: cmp.Or(r.Access, everyone)}
		if slices.ContainsFunc(declared, func(d Listed) bool { return d.Host == a.Host && d.is(r) }) {
			continue
		}
		l.actual(a.List, r)
		if l.Why = cmp.Or(l.Why, "the newest commit does not declare it"); l.Live {
			l.Why = "the newest commit does not declare it: salvor apply takes it off"
		}
		all = append(all, l)
	}
	return all
}
