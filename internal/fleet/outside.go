package fleet

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A Source is from where something comes: Tailnet, or addresses as "192.0.2.0/24".
type Source string

// Tailnet is all that comes over the host's Tailscale interface.
const Tailnet Source = "tailnet"

// ParseSource reads an address, a network or the word tailnet. Of a network the bits of a host must be zero.
func ParseSource(s string) (Source, error) {
	if Source(s) == Tailnet {
		return Tailnet, nil
	}
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		return Source(ip.Unmap().String()), nil
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is not an address: write it like 192.0.2.10, 192.0.2.0/24 or %s", s, Tailnet)
	case network != network.Masked():
		return "", fmt.Errorf("%q has bits of a host: write the network as %s, or the address alone", s, network.Masked())
	case network.IsSingleIP():
		return Source(network.Addr().String()), nil
	}
	return Source(network.String()), nil
}

// Is4 reports whether it has addresses of IPv4.
func (s Source) Is4() bool { return s != Tailnet && !strings.Contains(string(s), ":") }

// An OpenPort is one or more ports of a protocol, as "443/tcp" or "6000-6010/udp".
type OpenPort string

// ParseOpenPort reads PORT, PORT/PROTOCOL or FIRST-LAST/PROTOCOL; without a protocol it is tcp.
func ParseOpenPort(s string) (OpenPort, error) {
	ports, protocol, named := strings.Cut(s, "/")
	if !named {
		protocol = "tcp"
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, err := port(first)
	to, err2 := port(last)
	if err != nil || err2 != nil || from > to || protocol != "tcp" && protocol != "udp" {
		return "", fmt.Errorf("%q is not a port: write it like 443, 443/tcp or 6000-6010/udp", s)
	}
	if from == to {
		return OpenPort(fmt.Sprintf("%d/%s", from, protocol)), nil
	}
	return OpenPort(fmt.Sprintf("%d-%d/%s", from, to, protocol)), nil
}

func port(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return int(n), err
}

// Of returns the ports without the protocol, and the protocol.
func (p OpenPort) Of() (ports, protocol string) {
	ports, protocol, _ = strings.Cut(string(p), "/")
	return ports, protocol
}

// Has reports whether a port of a protocol is one of them.
func (p OpenPort) Has(number int, protocol string) bool {
	ports, own := p.Of()
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, _ := port(first)
	to, _ := port(last) // it has been read
	return own == protocol && from <= number && number <= to
}
