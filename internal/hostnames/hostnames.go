// Package hostnames says which public hostnames a commit declares for each host, which
// rules the host's tunnel would get of them, and what of it there is as hosts answered. It
// does not ask Cloudflare.
package hostnames

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
)

// A Host is what one host publishes.
type Host struct {
	Name   string       `json:"host"` // "" for stacks that name no host
	Routes []Route      `json:"routes"`
	Rules  []route.Rule `json:"ingress"`
}

// A Route is one with the stack that declares it, or host.NAME for ingress.routes.
type Route struct {
	Owner string `json:"stack"`
	route.Route
	Not string `json:"not_published,omitempty"` // why it is not published, "" for one that is
}

const everyone = "everyone"

// Who says who may in, for people: "everyone", the access groups, or by what else.
func (r Route) Who() string {
	switch {
	case r.Access == nil:
		return everyone
	case r.Access.OfZone:
		return "by the zone's application"
	case len(r.Access.Groups) == 0:
		return "by rules of its own"
	}
	return strings.Join(r.Access.Groups, ", ")
}

// Plan returns the hosts with their routes, by name. The stacks are those that load.
func Plan(f *fleet.Fleet, lock fleet.Lock, stacks map[string]project.Rendered) []Host {
	routes := map[string][]Route{}
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		host := hostOf(f, lock, name)
		for _, r := range stacks[name].Project.Routes {
			routes[host] = append(routes[host], Route{Owner: name, Route: r})
		}
	}
	for _, h := range f.Hosts {
		for _, r := range f.Ingress.RoutesOf(h.Name).Routes {
			routes[h.Name] = append(routes[h.Name], Route{Owner: fleet.Own(h.Name), Route: r})
		}
	}
	hosts := []Host{}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		hosts = append(hosts, host(name, routes[name]))
	}
	return hosts
}

// hostOf returns where a stack is, or should be.
func hostOf(f *fleet.Fleet, lock fleet.Lock, stack string) string {
	p, _ := lock.Placement(stack)
	declared, _ := f.Stack(stack)
	return cmp.Or(p.Host, declared.Host)
}

// host makes the rules of routes, and says of each route that has none why. Of several with
// one hostname and path the first counts.
func host(name string, routes []Route) Host {
	var published []route.Route
	taken := map[route.Key]string{}
	for i := range routes {
		r := &routes[i]
		switch {
		case r.Closed != "":
			r.Not = r.Closed
		case r.Outside() != "":
			r.Not = r.Outside()
			continue
		case r.Loses(r.Owner):
			r.Not = r.Claimants[0] + " declares the hostname, too"
			continue
		case taken[r.Key()] != "":
			r.Not = taken[r.Key()] + " declares it, too"
			continue
		}
		taken[r.Key()] = cmp.Or(r.Of, r.Owner)
		published = append(published, r.Route)
	}
	rules, refused := route.Rules(published, nil)
	for _, bad := range refused {
		at := slices.IndexFunc(routes, func(r Route) bool { return r.Not == "" && r.Key() == bad.Route.Key() })
		if at >= 0 {
			routes[at].Not = bad.Why
		}
	}
	return Host{Name: name, Routes: routes, Rules: rules}
}

// A Note is a label without effect, with its stack.
type Note struct {
	Stack string `json:"stack"`
	route.Note
}

// Unused returns the labels that have no effect, of one stack or of all.
func Unused(stacks map[string]project.Rendered, stack string) []Note {
	notes := []Note{}
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		for _, n := range stacks[name].Unused {
			if stack == "" || stack == name {
				notes = append(notes, Note{name, n})
			}
		}
	}
	return notes
}

// Findings are those about routes, and those that keep a stack, with its routes, from being
// deployed.
func Findings(all []finding.Finding) []finding.Finding {
	codes := []finding.Code{finding.IngressUnset, finding.RouteClosed, finding.RouteTaken, finding.RoutePath, finding.RouteBlocked, finding.RouteUnreached, finding.LabelIgnored}
	return slices.DeleteFunc(slices.Clone(all), func(f finding.Finding) bool {
		return !slices.Contains(codes, f.Code) && (f.Severity != finding.Fatal || f.Stack == "")
	})
}
