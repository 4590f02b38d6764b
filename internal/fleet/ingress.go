package fleet

import (
	"slices"
	"strconv"
	"time"

	"salvor/internal/route"
	"salvor/internal/secret"
)

// An Ingress says how routes reach the internet. The zero value: they don't.
type Ingress struct {
	Provider IngressProvider
	Account  string         // the id of Cloudflare's account
	Token    secret.Setting // of its API
	Network  string         // Docker's, on which connectors reach services
	Prefix   string         // of labels, in addition to DockFlare's; "" for none
	Grace    time.Duration  // how long a route stays without a running container
	Access   []route.AccessGroup
	Routes   []HostRoute // of what is not a container
	// Tunnels are the tunnels, by ID, of hosts that took over another program's.
	Tunnels map[string]string
}

// An IngressProvider is who publishes routes.
type IngressProvider string

// The providers.
const (
	IngressCloudflare IngressProvider = "cloudflare" // Salvor, with a tunnel for each host
	IngressDockFlare  IngressProvider = "dockflare"  // DockFlare, as a stack: labels stay labels
	IngressNone       IngressProvider = "none"       // no one: labels stay labels
)

// ConnectorProject is a host's own project that leads requests from Cloudflare to services, and
// ConnectorImage the image of its containers: https://github.com/cloudflare/cloudflared/releases.
const (
	ConnectorProject = OwnProjectPrefix + "cloudflared"
	ConnectorImage   = "cloudflare/cloudflared:2026.9.3"
)

// A HostRoute is a route that a host's connector serves and that belongs to no stack.
type HostRoute struct {
	Host string
	route.Declared
}

// At returns the routes of a host that belong to no stack, with any provider.
func (i Ingress) At(host string) []HostRoute {
	return slices.DeleteFunc(slices.Clone(i.Routes), func(r HostRoute) bool { return r.Host != host })
}

// Publishes reports whether routes are made of declarations.
func (i Ingress) Publishes() bool { return i.Provider == IngressCloudflare }

// Complete reports whether hosts have what it takes to publish: whose account it is, and a
// token.
func (i Ingress) Complete() bool { return i.Publishes() && i.Account != "" && !i.Token.IsZero() }

// Publishes reports whether a host publishes routes under lock: its own, or those of a stack
// that is placed there. Of a stack whose routes are not known, because its files don't load or
// are gone, nothing is taken for granted: the host publishes if it did, which its images in
// the lock say.
func (f *Fleet) Publishes(lock Lock, host string) bool {
	if !f.Ingress.Complete() {
		return false
	}
	if slices.ContainsFunc(f.Ingress.Routes, func(r HostRoute) bool { return r.Host == host }) {
		return true
	}
	unknown := false
	for _, name := range lock.On(host) {
		st, declared := f.Stack(name)
		if st.Publishes {
			return true
		}
		unknown = unknown || !declared || st.Broken
	}
	return unknown && len(lock.Hosts[host].Images) > 0
}

// Publishing returns the hosts that publish routes under lock, sorted.
func (f *Fleet) Publishing(lock Lock) []string {
	var names []string
	for _, h := range f.Hosts {
		if f.Publishes(lock, h.Name) {
			names = append(names, h.Name)
		}
	}
	return names
}

// TunnelName is what a host's own tunnel is called at Cloudflare, at an epoch of what the host has
// of its own. Another machine under the name has another tunnel: the one before may still run
// a connector. Neither a fleet's nor a host's name has a dot, so no two hosts share a tunnel's name.
func TunnelName(fleet, host string, epoch int) string {
	name := "salvor-" + fleet + "." + host
	if epoch > 1 {
		name += "." + strconv.Itoa(epoch)
	}
	return name
}

// TunnelsOf names the tunnels that a machine may have a token of, which had a host's name up to
// an epoch of what the host has of its own: the one that it took over, or each that was made for it.
func (f *Fleet) TunnelsOf(host string, epoch int) []string {
	if id := f.Ingress.Tunnels[host]; id != "" {
		return []string{id}
	}
	names := []string{TunnelName(f.Name, host, 1)}
	for n := 2; n <= epoch; n++ {
		names = append(names, TunnelName(f.Name, host, n))
	}
	return names
}

// Settings are what declarations are read with. The access groups were checked when
// they were loaded.
func (i Ingress) Settings() route.Settings {
	s := route.Settings{Prefix: i.Prefix, Grace: i.Grace, Groups: route.Groups{}}
	for _, g := range i.Access {
		if group, err := g.Group(); err == nil {
			s.Groups[g.Name] = group
		}
	}
	return s
}

// RoutesOf are the routes of a host that belong to no stack.
func (i Ingress) RoutesOf(host string) route.Reading {
	if !i.Publishes() {
		return route.Reading{}
	}
	var declared []route.Declared
	for _, r := range i.At(host) {
		declared = append(declared, r.Declared)
	}
	return i.Settings().Declare(declared)
}

// A ServiceRoute is one of x-salvor.routes.
type ServiceRoute struct {
	Port     int    // of the service, 0 for none
	Protocol string // "http" by default
	route.Declared
}
