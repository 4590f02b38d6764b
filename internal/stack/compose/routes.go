package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"salvor/internal/finding"
	"salvor/internal/route"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// A router reads what a stack publishes: by labels of its services, and by x-salvor.routes.
type router struct{ load *load }

// read returns the stack's routes, and the labels without effect. Services of
// x-salvor.routes join the connector's network.
func (r router) read() (routes []route.Route, unused []route.Note) {
	if !r.load.Ingress.Publishes() {
		return nil, nil
	}
	settings := r.load.Ingress.Settings()
	readings := []route.Reading{settings.Declare(r.declared())}
	for _, name := range r.load.project.ServiceNames() {
		if r.load.active[name] {
			one := settings.Read(r.container(name))
			one.Findings = append(one.Findings, r.unreached(name, one.Routes)...)
			readings = append(readings, one)
		} else {
			readings = append(readings, r.idle(settings, name))
		}
	}
	for _, one := range readings {
		routes, unused = append(routes, one.Routes...), append(unused, one.Notes...)
		for _, f := range one.Findings {
			r.load.found(f)
		}
	}
	for _, f := range route.Twice(routes) {
		r.load.found(f)
	}
	return routes, unused
}

// container is a service with its labels.
func (r router) container(name string) route.Container {
	c := route.Container{Name: name, Labels: map[string]string{}, Place: func(label string) string { return r.load.files.label(name, label) }}
	for label, value := range r.load.project.Services[name].Labels {
		if c.Labels[label] = unmark(value); c.Labels[label] != value {
			c.Unreadable = append(c.Unreadable, label)
		}
	}
	slices.Sort(c.Unreadable)
	return c
}

// unreached reports a route that labels of a service lead to it by its own name, while the
// connector does not have it in its network.
func (r router) unreached(service string, routes []route.Route) []finding.Finding {
	s, network := r.load.project.Services[service], r.load.Ingress.Network
	i := slices.IndexFunc(routes, func(one route.Route) bool {
		return one.Closed == "" && slices.Contains([]string{strings.ToLower(service), strings.ToLower(s.ContainerName)}, cmp.Or(one.Host(), "."))
	})
	if i < 0 || r.connected(s) || s.NetworkMode != "" && s.NetworkMode != "host" {
		return nil
	}
	fix := fmt.Sprintf("add networks: [default, %[1]s] to %[2]s, and networks: {%[1]s: {external: true}} to the file; or declare the route under x-salvor.routes", network, service)
	if s.NetworkMode == "host" {
		fix = "write host.docker.internal, which is the host"
	}
	return []finding.Finding{{Code: finding.RouteUnreached, Severity: finding.Warning, Subject: routes[i].Position,
		Text: fmt.Sprintf("%s leads to %s, which is not in the network %s, where connectors reach services", routes[i].Key(), service, network), Fix: fix}}
}

// connected reports whether a service is in the connector's network.
func (r router) connected(s types.ServiceConfig) bool {
	for key := range s.Networks {
		if cmp.Or(r.load.project.Networks[key].Name, key) == r.load.Ingress.Network {
			return true
		}
	}
	return false
}

// idle has all labels of a service without effect: it does not start.
func (r router) idle(settings route.Settings, name string) (out route.Reading) {
	for _, label := range slices.Sorted(maps.Keys(r.load.project.Services[name].Labels)) {
		if settings.Reads(label) {
			out.Notes = append(out.Notes, route.Note{Place: r.load.files.label(name, label), Label: label, Why: "the service is in a profile that is not active"})
		}
	}
	return out
}

// label returns where a service has a label: as a key, as an item NAME=VALUE, or where its
// labels begin.
func (s sources) label(service, label string) string {
	for _, src := range slices.Backward(s) {
		labels := yamldoc.Resolve(yamldoc.Find(src.root, "services", service, "labels"))
		if k, _ := yamldoc.Lookup(labels, label); k != nil {
			return fmt.Sprintf("%s:%d:%d", src.name, k.Line, k.Column)
		}
		for _, item := range yamldoc.Items(labels) {
			if text := yamldoc.ValueOf(item); text == label || strings.HasPrefix(text, label+"=") {
				return fmt.Sprintf("%s:%d:%d", src.name, item.Line, item.Column)
			}
		}
	}
	return s.of("services", service, "labels")
}

// declared are x-salvor.routes, as a connector reaches their services.
func (r router) declared() []route.Declared {
	var all []route.Declared
	for _, one := range r.load.Stack.Routes {
		d := one.Declared
		s, known := r.load.project.Services[one.Of]
		switch {
		case !known || !r.load.active[one.Of]:
			d.Refused = fmt.Sprintf("no service %q starts%s", one.Of, suggest.DidYouMean(one.Of, r.load.project.ServiceNames()))
		case one.Port == 0:
			d.Refused = "it has no port: add the one that " + one.Of + " listens on in its container"
		case s.NetworkMode != "":
			d.Refused = fmt.Sprintf("%s has network_mode %s and can't join the network %s: declare it under ingress.routes in fleet.yaml, with http://host.docker.internal:%d", one.Of, s.NetworkMode, r.load.Ingress.Network, one.Port)
		default:
			d.Service = fmt.Sprintf("%s://%s:%d", cmp.Or(one.Protocol, "http"), r.join(one.Of), one.Port)
		}
		all = append(all, d)
	}
	return all
}

// join puts a service on the connector's network, and returns its name there, which no
// other container of the host has: names of stacks are unique and have no dots.
func (r router) join(service string) (alias string) {
	alias = service + "." + r.load.Stack.Name + ".salvor"
	s, p := r.load.project.Services[service], r.load.project
	key := r.network()
	joined := maps.Clone(s.Networks)
	if len(joined) == 0 {
		joined = map[string]*types.ServiceNetworkConfig{defaultNetwork: nil}
		if _, declared := p.Networks[defaultNetwork]; !declared {
			p.Networks[defaultNetwork] = types.NetworkConfig{}
		}
	}
	on := types.ServiceNetworkConfig{}
	if before := joined[key]; before != nil {
		on = *before
	}
	if !slices.Contains(on.Aliases, alias) {
		on.Aliases = append(slices.Clone(on.Aliases), alias)
	}
	joined[key] = &on
	s.Networks = joined
	p.Services[service] = s
	return alias
}

// network returns the key of the connector's network in the project, which gets it.
func (r router) network() string {
	name := r.load.Ingress.Network
	for key, n := range r.load.project.Networks {
		if bool(n.External) && cmp.Or(n.Name, key) == name {
			return key
		}
	}
	key := name
	if _, taken := r.load.project.Networks[key]; taken {
		key = "salvor-" + key
	}
	if r.load.project.Networks == nil {
		r.load.project.Networks = types.Networks{}
	}
	r.load.project.Networks[key] = types.NetworkConfig{Name: name, External: true}
	return key
}
