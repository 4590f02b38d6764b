package controlrepo

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/route"
	"salvor/internal/secret"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// Of routes where nothing else is said.
const (
	defaultNetwork = "cloudflare-net" // DockFlare's
	defaultGrace   = 10 * time.Minute
)

var (
	groupPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	prefixPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	countryPattern = regexp.MustCompile(`^[A-Z]{2}$`)
	accountPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tunnelPattern  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	emailPattern   = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

func ingressShape() yamldoc.Shape[fleet.Ingress] {
	return yamldoc.Object(
		yamldoc.Key("provider", "Who publishes routes: Salvor with tunnels at Cloudflare, DockFlare as a stack, or none.", yamldoc.Choice(fleet.IngressCloudflare, fleet.IngressDockFlare, fleet.IngressNone), func(i *fleet.Ingress, v fleet.IngressProvider) { i.Provider = v }).Must(),
		yamldoc.Key("account", "The id of Cloudflare's account.", yamldoc.Matching(accountPattern, "the id of an account at Cloudflare, which has 32 digits and letters from a to f"), func(i *fleet.Ingress, v string) { i.Account = v }),
		yamldoc.Key("token", "A reference to a token of Cloudflare's API, secret:NAME.", reference(), func(i *fleet.Ingress, v secret.Setting) { i.Token = v }),
		yamldoc.Key("network", "The Docker network on which connectors reach services, cloudflare-net by default.", yamldoc.Matching(dockerNamePattern, "a name for a Docker network"), func(i *fleet.Ingress, v string) { i.Network = v }),
		yamldoc.Key("label_prefix", "A prefix of labels that comes before dockflare. and cloudflare.tunnel.", yamldoc.Matching(prefixPattern, "a prefix of labels, such as cf.ingress"), func(i *fleet.Ingress, v string) { i.Prefix = v }),
		yamldoc.Key("grace", "How long a route stays while its service has no running container, 10m by default.", yamldoc.Duration(), func(i *fleet.Ingress, v time.Duration) { i.Grace = v }),
		yamldoc.Key("access", "The access groups, by name: who may reach routes.", yamldoc.Named(yamldoc.KeysLike(groupPattern, "a name for an access group"), accessShape()), func(i *fleet.Ingress, v []yamldoc.Entry[route.AccessGroup]) {
			i.Access = named(v, func(g *route.AccessGroup) *string { return &g.Name })
		}),
		yamldoc.Key("routes", "Routes to what is not a container, such as a NAS: a host's connector reaches it.", yamldoc.List(hostRouteShape()), func(i *fleet.Ingress, v []fleet.HostRoute) { i.Routes = v }),
		yamldoc.Key("tunnels", "Tunnels that hosts took over from another program, by host: the tunnel's id. Others have one of their own.", yamldoc.Named(names(), yamldoc.Matching(tunnelPattern, "the id of a tunnel")), func(i *fleet.Ingress, v []yamldoc.Entry[string]) {
			i.Tunnels = asMap(v)
		}),
	)
}

func (f *fleetFile) setIngress(i fleet.Ingress) { f.fleet.Ingress = i }

// accessShape is a group. All that is said of who has to hold, but one of emails and
// domains, of providers, of ips, of countries is enough.
func accessShape() yamldoc.Shape[route.AccessGroup] {
	return yamldoc.Object(
		yamldoc.Key("emails", "People, by their addresses.", yamldoc.List(yamldoc.Matching(emailPattern, "an e-mail address")), func(g *route.AccessGroup, v []string) { g.Emails = v }),
		yamldoc.Key("domains", "People whose address is in one of these domains.", yamldoc.List(yamldoc.Text(checkDomain)), func(g *route.AccessGroup, v []string) { g.Domains = v }),
		yamldoc.Key("providers", "They log in with one of these identity providers, by name.", yamldoc.List(yamldoc.Text(nil)), func(g *route.AccessGroup, v []string) { g.Providers = v }),
		yamldoc.Key("ips", "They come from one of these addresses or ranges.", yamldoc.List(yamldoc.Text(checkRange)), func(g *route.AccessGroup, v []string) { g.IPs = ranges(v) }),
		yamldoc.Key("countries", "They come from one of these countries, by their two capitals (ISO 3166-1).", yamldoc.List(yamldoc.Matching(countryPattern, "a country's two capitals, such as CH")), func(g *route.AccessGroup, v []string) { g.Countries = v }),
		yamldoc.Key("service_tokens", "Programs, by the names of their service tokens.", yamldoc.List(yamldoc.Text(nil)), func(g *route.AccessGroup, v []string) { g.Tokens = v }),
		yamldoc.Key("bypass", "Without a login: everyone, or everyone from ips and countries.", yamldoc.Truth(), func(g *route.AccessGroup, v bool) { g.Bypass = v }),
		yamldoc.Key("session", "How long a login counts, 24h by default.", yamldoc.Duration(), func(g *route.AccessGroup, v time.Duration) { g.Session = v }),
		yamldoc.Key("launcher", "Its applications show in the App Launcher.", yamldoc.Truth(), func(g *route.AccessGroup, v bool) { g.Launcher = v }),
	)
}

func hostRouteShape() yamldoc.Shape[fleet.HostRoute] {
	fields := append([]yamldoc.Field[fleet.HostRoute]{
		yamldoc.Key("host", "The host whose connector serves it.", name(), func(r *fleet.HostRoute, v string) { r.Host = v }).Must(),
		yamldoc.Key("service", "Where requests go, as in a label: https://192.168.1.5:5001.", yamldoc.Text(nil), func(r *fleet.HostRoute, v string) { r.Service = v }).Must(),
	}, routeFields(func(r *fleet.HostRoute) *route.Declared { return &r.Declared })...)
	return yamldoc.Object(fields...)
}

func serviceRouteShape() yamldoc.Shape[fleet.ServiceRoute] {
	fields := append([]yamldoc.Field[fleet.ServiceRoute]{
		yamldoc.Key("service", "A service of this file.", yamldoc.Matching(servicePattern, "a service's name"), func(r *fleet.ServiceRoute, v string) { r.Of = v }).Must(),
		yamldoc.Key("port", "The port that it listens on in its container.", yamldoc.Number(1, 65535), func(r *fleet.ServiceRoute, v int) { r.Port = v }),
		yamldoc.Key("protocol", "http by default.", yamldoc.Choice("http", "https", "tcp", "ssh", "rdp", "smb"), func(r *fleet.ServiceRoute, v string) { r.Protocol = v }),
	}, routeFields(func(r *fleet.ServiceRoute) *route.Declared { return &r.Declared })...)
	return yamldoc.Object(fields...)
}

// routeFields are the keys that every declared route has.
func routeFields[T any](in func(*T) *route.Declared) []yamldoc.Field[T] {
	return []yamldoc.Field[T]{
		yamldoc.Key("hostname", "The public name.", yamldoc.Text(nil), func(v *T, s string) { in(v).Hostname = s }).Must(),
		yamldoc.Key("path", "Only requests whose path has it, a Go regular expression.", yamldoc.Text(nil), func(v *T, s string) { in(v).Path = s }),
		yamldoc.Key("zone", "The zone of the DNS record. Default: the longest of the account's that contains the hostname.", yamldoc.Text(checkDomain), func(v *T, s string) { in(v).Zone = s }),
		yamldoc.Key("access", "Who may in: an access group or a list of them. Default: everyone.", oneOrMore(), func(v *T, s []string) { in(v).Access = s }),
		yamldoc.Key("no_tls_verify", "The service's certificate is not checked.", yamldoc.Truth(), func(v *T, b bool) { in(v).Origin.NoTLSVerify = b }),
		yamldoc.Key("server_name", "The name in the service's certificate.", yamldoc.Text(nil), func(v *T, s string) { in(v).Origin.ServerName = s }),
		yamldoc.Key("host_header", "The Host header that the service gets.", yamldoc.Text(nil), func(v *T, s string) { in(v).Origin.HostHeader = s }),
	}
}

// oneOrMore is a text, or a list of them with at least one.
func oneOrMore() yamldoc.Shape[[]string] {
	one, more := yamldoc.Text(nil), yamldoc.List(yamldoc.Text(nil))
	schema := &yamldoc.Schema{Type: yamldoc.Types{"string", "array"}, Items: one.Schema}
	return yamldoc.Shape[[]string]{Schema: schema, Decode: func(r *yamldoc.Reader, n *yamldoc.Node, at yamldoc.Path) []string {
		if yamldoc.IsScalar(n) {
			return []string{one.Decode(r, n, at)}
		}
		all := more.Decode(r, n, at)
		if len(all) == 0 {
			r.Fail(n, "%s is empty: name an access group, or remove the key", at)
		}
		return all
	}}
}

func checkDomain(v string) error {
	if ascii, err := route.Hostname(v); err != nil || strings.HasPrefix(ascii, "*") {
		return fmt.Errorf("%q is not a domain: write it like example.com", v)
	}
	return nil
}

func checkRange(v string) error {
	if _, err := netip.ParseAddr(v); err == nil {
		return nil
	}
	return checkSubnet(v)
}

// ranges writes addresses as ranges of one.
func ranges(all []string) []string {
	out := slices.Clone(all)
	for i, v := range out {
		if ip, err := netip.ParseAddr(v); err == nil {
			out[i] = netip.PrefixFrom(ip, ip.BitLen()).String()
		}
	}
	return out
}

// setIngressDefaults adds the connector's network to those that hosts make.
func setIngressDefaults(f *fleet.Fleet) {
	i := &f.Ingress
	if !i.Publishes() {
		return
	}
	i.Network, i.Grace = cmp.Or(i.Network, defaultNetwork), cmp.Or(i.Grace, defaultGrace)
	if !slices.ContainsFunc(f.Networks, func(n fleet.Network) bool { return n.Name == i.Network }) {
		f.Networks = append(f.Networks, fleet.Network{Name: i.Network, Driver: "bridge"})
	}
}

// checkIngress reports groups that let no one in or can't be policies, and hosts that are
// not declared.
func checkIngress(r *yamldoc.Reader, f *fleet.Fleet) {
	for _, g := range f.Ingress.Access {
		at := r.Places.Of("ingress", "access", g.Name)
		if g.Name == "bypass" || g.Name == route.PublicGroup {
			r.Add(at, "ingress.access.%s: the name stands for everyone and can't be declared", g.Name)
		} else if _, err := g.Group(); err != nil {
			r.Add(at, "ingress.access.%s: %v", g.Name, err)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(f.Ingress.Tunnels)) {
		if _, known := f.Host(host); !known {
			r.Add(r.Places.Of("ingress", "tunnels", host), "host %q is not declared%s", host, declaredAs(f, host))
		}
	}
	for i := range f.Ingress.Routes {
		one := &f.Ingress.Routes[i]
		one.Position = r.Places.Of("ingress", "routes", strconv.Itoa(i), "hostname").String()
		if _, known := f.Host(one.Host); !known && one.Host != "" {
			r.Add(r.Places.Of("ingress", "routes", strconv.Itoa(i), "host"), "host %q is not declared%s", one.Host, declaredAs(f, one.Host))
		}
	}
}

// declaredAs says what a host that is not declared is called since it was renamed, or which one
// was probably meant; "" where neither is known.
func declaredAs(f *fleet.Fleet, host string) string {
	for _, h := range f.Hosts {
		if h.Formerly == host {
			return ": it is called " + h.Name + " now"
		}
	}
	return suggest.DidYouMean(host, hostNames(f))
}
