package route

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/finding"
)

// Origins that cloudflared has in itself
// (https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/routing-to-tunnel/protocols/).
const (
	statusPrefix = "http_status:"
	notFound     = "http_status:404"
	unavailable  = "http_status:503"
)

var (
	builtIn    = []string{"hello_world", "hello-world", "bastion", "socks-proxy"}
	sockets    = []string{"unix:", "unix+tls:"}
	web        = []string{"http", "https", "ws", "wss"}
	others     = []string{"tcp", "ssh", "rdp", "smb"} // they need a port
	originHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_])?$`)
)

// Service returns an origin as cloudflared takes it: http(s)://host[:port] and ws(s)://
// without a path, tcp, ssh, rdp and smb:// with a port, unix: and unix+tls: with the path
// of a socket, http_status:100 to 599, hello_world, bastion, socks-proxy.
func Service(text string) (string, error) {
	switch {
	case text == "":
		return "", errors.New("the service is empty")
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", fmt.Errorf("the service %q has spaces or characters that an address can't have", text)
	case slices.Contains(builtIn, text):
		return text, nil
	case strings.HasPrefix(text, statusPrefix):
		n, err := strconv.Atoi(text[len(statusPrefix):])
		if err != nil || n < 100 || n > 599 || text != statusPrefix+strconv.Itoa(n) {
			return "", fmt.Errorf("the service %q is not a status: write http_status:404, or another one from 100 to 599", text)
		}
		return text, nil
	}
	for _, prefix := range sockets {
		if path, is := strings.CutPrefix(text, prefix); is {
			if path = strings.TrimPrefix(path, "//"); !strings.HasPrefix(path, "/") {
				return "", fmt.Errorf("the service %q does not name a socket: write %s/run/app.sock", text, prefix)
			}
			return prefix + path, nil
		}
	}
	return address(text)
}

// address is Service of a URL.
func address(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", fmt.Errorf("the service %q is not an address: write it like http://app:8080", text)
	}
	needsPort := slices.Contains(others, u.Scheme)
	switch {
	case !needsPort && !slices.Contains(web, u.Scheme):
		return "", fmt.Errorf("the service %q has the protocol %s; cloudflared has %s", text, u.Scheme, strings.Join(slices.Concat(web, others), ", "))
	case u.User != nil:
		return "", errors.New("the service has a user or password in its address, which everyone could read")
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(text, "#"):
		return "", fmt.Errorf("the service %q has a path: cloudflared keeps the path of the request; remove it", text)
	case !isHost(u.Hostname(), strings.HasPrefix(u.Host, "[")):
		return "", fmt.Errorf("the service %q does not have a host that can be looked up", text)
	}
	n, err := strconv.Atoi(u.Port())
	switch {
	case u.Port() == "" && (needsPort || strings.HasSuffix(u.Host, ":")):
		return "", fmt.Errorf("the service %q needs a port: write it like %s://%s:PORT", text, u.Scheme, strings.TrimSuffix(u.Host, ":"))
	case u.Port() != "" && (err != nil || n < 1 || n > 65535):
		return "", fmt.Errorf("the service %q has the port %s, want one from 1 to 65535", text, u.Port())
	}
	return u.Scheme + "://" + u.Host, nil
}

func isHost(host string, bracketed bool) bool {
	if bracketed {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is6()
	}
	return originHost.MatchString(host) && !strings.Contains(host, "..")
}

// isWeb reports whether the origin talks HTTP, so that options of requests mean something.
func isWeb(service string) bool {
	scheme, _, _ := strings.Cut(service, ":")
	return slices.Contains(web, scheme) || slices.Contains(sockets, scheme+":")
}

// Host returns the name or address of the origin in small letters, "" for one without.
func (r Route) Host() string {
	u, err := url.Parse(r.Service)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// toItself reports routes to localhost: that is the connector's own container, not the host.
func toItself(routes []Route) (found []finding.Finding) {
	for _, r := range routes {
		host := r.Host()
		ip, err := netip.ParseAddr(host)
		if r.Closed != "" || host != "localhost" && (err != nil || !ip.IsLoopback()) {
			continue
		}
		found = append(found, finding.Finding{Code: finding.RouteUnreached, Severity: finding.Warning, Subject: r.Position,
			Text: r.Key().String() + " leads to " + host + ", which is the connector's own container",
			Fix:  "write host.docker.internal for the host, or the name of a container"})
	}
	return found
}
