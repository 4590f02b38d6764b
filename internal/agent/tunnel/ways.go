package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"salvor/internal/docker"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// A way is how the connector is to reach a service of a stack: by a name in its network.
type way struct {
	owner, service string
	name           string
	hostname       string // one that leads there
}

// ways returns the ways of routes to services of stacks, each once. Addresses, and names with
// a dot, which a DNS server may have, are none.
func ways(routes []route.Owned) []way {
	var all []way
	for _, o := range routes {
		u, err := url.Parse(o.Route.Service)
		if err != nil || o.Route.Of == "" || o.Route.Closed != "" {
			continue
		}
		name := strings.ToLower(u.Hostname())
		if name == "" || strings.Contains(name, ".") || net.ParseIP(name) != nil {
			continue
		}
		same := func(w way) bool { return w.owner == o.Owner && w.service == o.Route.Of && w.name == name }
		if !slices.ContainsFunc(all, same) {
			all = append(all, way{o.Owner, o.Route.Of, name, o.Route.Hostname})
		}
	}
	return all
}

// lost returns what is wrong with the ways of routes: they end nowhere, or at two services.
func (t *Tunnel) lost(ctx context.Context, network string, routes []route.Owned) ([]finding.Finding, error) {
	all := ways(routes)
	if len(all) == 0 {
		return nil, nil
	}
	called, err := t.called(ctx, network)
	if err != nil {
		return nil, err
	}
	running, err := t.engine.Running(ctx)
	if err != nil {
		return nil, err
	}
	var found []finding.Finding
	for _, w := range all {
		project, err := t.host.Stacks.ProjectName(ctx, w.owner)
		if err != nil {
			return nil, err
		}
		own := slices.IndexFunc(running, func(c docker.Container) bool { return c.Project == project && c.Service == w.service && !c.OneOff })
		if own < 0 {
			continue // its routes go when their time is over
		}
		at := called[w.name]
		switch others := services(at); {
		case len(at) == 0:
			found = append(found, w.unreached(running[own].Name, network))
		case len(others) > 1:
			found = append(found, w.shared(others, network))
		}
	}
	return found, nil
}

// called returns the containers in the connector's network by each name that they have there.
func (t *Tunnel) called(ctx context.Context, network string) (map[string][]docker.Member, error) {
	members, err := t.engine.Members(ctx, network)
	if err != nil {
		return nil, err
	}
	all := map[string][]docker.Member{}
	for _, m := range members {
		names, err := t.engine.Called(ctx, m, network)
		if err != nil && !errors.Is(err, docker.ErrNoSuch) {
			return nil, err
		}
		for _, name := range names {
			all[strings.ToLower(name)] = append(all[strings.ToLower(name)], m)
		}
	}
	return all, nil
}

// services returns the name of one container of each service, and those of no service.
func services(members []docker.Member) []string {
	var names []string
	seen := map[[2]string]bool{}
	for _, m := range members {
		of := [2]string{m.Project, m.Service}
		if m.Service == "" || !seen[of] {
			names = append(names, m.Name)
		}
		seen[of] = true
	}
	return names
}

func (w way) unreached(container, network string) finding.Finding {
	return warn(finding.RouteUnreached, w.owner+"/"+w.service, fmt.Sprintf("%s leads to %q, and nothing has that name in the connector's network %s; %s runs, but not there under that name", w.hostname, w.name, network, container),
		fmt.Sprintf("put the service into the network %s, or declare the route under x-salvor.routes, which does that", network))
}

func (w way) shared(containers []string, network string) finding.Finding {
	return warn(finding.RouteShared, w.owner+"/"+w.service, fmt.Sprintf("%s leads to %q, and that is the name of %s in the network %s: each gets some of the requests", w.hostname, w.name, strings.Join(containers, " and of "), network),
		"lead the route to a name that only one container has there, such as its container_name, or declare it under x-salvor.routes")
}
