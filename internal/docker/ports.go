package docker

import (
	"cmp"
	"fmt"
	"net"
	"slices"

	"salvor/internal/project"
)

// A port of a container as the engine lists it.
type port struct {
	IP                      string
	PrivatePort, PublicPort int
	Type                    string
}

// published returns the ports that are reached on the host, in order: "8080->80",
// "127.0.0.1:5353->53/udp". One that is open on every address is named once.
func published(all []port) []string {
	slices.SortFunc(all, func(a, b port) int { return a.PublicPort - b.PublicPort })
	var out []string
	for _, p := range all {
		if p.PublicPort == 0 {
			continue
		}
		text := fmt.Sprintf("%d->%d", p.PublicPort, p.PrivatePort)
		if ip := net.ParseIP(p.IP); p.IP != "" && !ip.IsUnspecified() {
			text = net.JoinHostPort(p.IP, text)
		}
		if p.Type != "" && p.Type != "tcp" {
			text += "/" + p.Type
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// taken returns the ports of the host that the engine has taken for a container.
func taken(all []port) []project.HostPort {
	var out []project.HostPort
	for _, p := range all {
		if p.PublicPort != 0 {
			out = append(out, project.HostPort{Address: p.IP, Protocol: cmp.Or(p.Type, "tcp"), First: p.PublicPort, Last: p.PublicPort})
		}
	}
	return out
}
