package project

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// HostPort is a range of ports that is in use on a host.
type HostPort struct {
	Address  string `json:"address,omitempty"` // "" for every one, "0.0.0.0" and "::" for all of their kind
	Protocol string `json:"protocol"`
	First    int    `json:"first"`
	Last     int    `json:"last"`
}

// OnHost returns what a port takes of its host. It takes nothing known where the engine
// chooses the port, or where a secret stands for it.
func (p Port) OnHost() (taken HostPort, known bool) {
	first, last, isRange := strings.Cut(p.Published, "-")
	from, err := strconv.Atoi(first)
	to := from
	if err == nil && isRange {
		to, err = strconv.Atoi(last)
	}
	return HostPort{p.Address, cmp.Or(p.Protocol, "tcp"), from, to}, err == nil && from != 0
}

// Common returns the first port that both take; 0 for none.
func (p HostPort) Common(o HostPort) int {
	if p.Protocol != o.Protocol || !sameAddress(p.Address, o.Address) || p.First > o.Last || o.First > p.Last {
		return 0
	}
	return max(p.First, o.First)
}

// sameAddress reports whether two addresses of a host can't have the same port. What is not
// an address may be any.
func sameAddress(a, b string) bool {
	one, other := address(a), address(b)
	switch {
	case !one.IsValid() || !other.IsValid() || one == other:
		return true
	case one.IsUnspecified() || other.IsUnspecified():
		return one.Is4() == other.Is4()
	}
	return false
}

// address parses an address of a host. The one in the tailnet is not known here: its stand-in is.
func address(text string) netip.Addr {
	if text == "${"+TailnetIP+"}" {
		text = TailnetStandIn
	}
	ip, _ := netip.ParseAddr(text)
	return ip.Unmap()
}

// TailnetStandIn is an address that stands for a host's in the tailnet where one is wanted and
// not known: of the block that is reserved (RFC 1112, section 4), and no host has one.
const TailnetStandIn = "240.83.84.73"
