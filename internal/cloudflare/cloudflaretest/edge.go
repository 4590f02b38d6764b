package cloudflaretest

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// An Outcome is what a visitor gets.
type Outcome struct {
	Denied  bool   // by Access
	Tunnel  string // whose connector got the request, "" for none
	Service string // that the connector's rule names
}

// Reached reports whether a service got the request.
func (o Outcome) Reached() bool {
	return o.Service != "" && !strings.HasPrefix(o.Service, "http_status:")
}

// Visit asks for a path of a hostname as a visitor without identity: DNS, then Access, then
// the rules that the connector has.
func (s *Server) Visit(hostname, path string) Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := Edge{s}
	t := e.resolve(hostname)
	if t == nil || t.down {
		return Outcome{}
	}
	if !e.guard(hostname, path).verdict(Visitor{}).Passes() {
		return Outcome{Denied: true}
	}
	_, rules := t.live()
	for _, r := range rules {
		if r.Matches(hostname, path) {
			return Outcome{Tunnel: t.id, Service: r.Service}
		}
	}
	return Outcome{}
}

// resolve returns the tunnel that a proxied record of the hostname, or else of the nearest
// wildcard, leads to.
func (e Edge) resolve(hostname string) *tunnel {
	for name := hostname; ; {
		for _, z := range e.api.zones {
			for _, r := range z.records {
				if r.Name == name && addresses(r.Type) {
					i := e.api.tunnel(strings.TrimSuffix(r.Content, ".cfargotunnel.com"))
					if i < 0 || !r.Proxied {
						return nil
					}
					return e.api.tunnels[i]
				}
			}
		}
		_, rest, found := strings.Cut(strings.TrimPrefix(name, "*."), ".")
		if !found {
			return nil
		}
		name = "*." + rest
	}
}

// guard returns the application that is responsible for a path: that with the exact
// hostname before one with a wildcard, and then that with the longest path.
func (e Edge) guard(hostname, path string) *app {
	var best *app
	most := -1
	for _, a := range e.api.apps {
		f := a.is
		for _, domain := range append(slices.Clone(f.Domains), f.Domain) {
			host, under, _ := strings.Cut(domain, "/")
			suffix, wild := strings.CutPrefix(host, "*")
			under = "/" + under
			if host != hostname && (!wild || !oneLevel(hostname, suffix)) {
				continue
			}
			if under != "/" && path != under && !strings.HasPrefix(path, under+"/") {
				continue
			}
			weight := len(under)
			if !wild {
				weight += 10_000
			}
			if weight > most {
				best, most = a, weight
			}
		}
	}
	return best
}

// oneLevel reports whether a hostname has exactly one part before the suffix of a wildcard, which
// is what an application with a wildcard is for. Source:
// developers.cloudflare.com/cloudflare-one/access-controls/policies/app-paths.
func oneLevel(hostname, suffix string) bool {
	first, is := strings.CutSuffix(hostname, suffix)
	return is && first != "" && !strings.Contains(first, ".")
}

// A Connector is what a tunnel's connector says of itself.
type Connector struct {
	server *Server
	tunnel string
}

// Connector returns the connector of a tunnel.
func (s *Server) Connector(tunnel string) Connector { return Connector{s, tunnel} }

// Version returns the number of the configuration that the connector has, as its /config.
func (c Connector) Version(context.Context) (int, error) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	i := c.server.tunnel(c.tunnel)
	if i < 0 || c.server.tunnels[i].down {
		return 0, errors.New("the connector does not answer")
	}
	n, _ := c.server.tunnels[i].live()
	return n, nil
}
