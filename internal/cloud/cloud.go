// Package cloud is what a fleet needs of those who rent servers by an API: to have one
// made for a host, to find what was made, and to take it away. A server trusts the fleet's
// key from its start, and is known by a host key that it was given once.
package cloud

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// A Provider rents servers in one region, for one fleet. All that it makes bears the
// fleet's name and the server's ID.
type Provider interface {
	// Place is PROVIDER:REGION.
	Place() string
	// Offer looks for all that an order needs, and makes nothing.
	Offer(ctx context.Context, o Order) (Offer, error)
	// Servers lists what there is of this fleet, whatever is left of each.
	Servers(ctx context.Context) ([]Server, error)
	// Remove takes away all that was made for a server, and returns once it is gone. It may
	// be called again, and for one of which nothing is left.
	Remove(ctx context.Context, s Server) error
}

// A Site says how servers are at a provider. The zero value is right for all real ones.
type Site struct {
	Port int           // where they serve SSH; 0 means 22
	Poll time.Duration // between two looks at what changes; 0 means 3 s
}

// An Order is a server that is wanted.
type Order struct {
	Host  string         // its name in the fleet
	Type  string         // as the provider calls it
	Image string         // OWNER/NAME with * for any part, the newest counts; "" for Debian's own
	Disk  int            // GiB
	From  []netip.Prefix // from where SSH is let in
}

// An Offer is what an order comes to.
type Offer struct {
	Lines []string // what will be made, for people
	// Make makes it, and returns once it has an address. The server is returned also with an
	// error, as far as it is known: Remove takes that away.
	Make func(ctx context.Context, id string, s Seed) (Server, error)
}

// A Server is one of the fleet's, or what is left of it.
type Server struct {
	fleet.Server
	Host    string // for which it was made
	Address string // "" while it has none
	Port    int    // of SSH
	Since   time.Time
	Parts   []Part
}

// A Part is one thing that a provider has for a server.
type Part struct {
	Kind Kind
	ID   string // the provider's
}

// A Kind of part.
type Kind string

// The kinds.
const (
	Instance Kind = "instance"
	Group    Kind = "security group"
	KeyPair  Kind = "key pair"
)

// Of returns the IDs of a server's parts of one kind.
func (s Server) Of(k Kind) []string {
	var ids []string
	for _, p := range s.Parts {
		if p.Kind == k {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// Has says what there is of it, for people.
func (s Server) Has() string {
	var all []string
	for _, p := range s.Parts {
		all = append(all, string(p.Kind)+" "+p.ID)
	}
	return strings.Join(all, ", ")
}

// idLength is enough that no two servers of an account get one.
const idLength = 10

// NewID returns the ID of a server that is about to be made.
func NewID() string { return strings.ToLower(rand.Text()[:idLength]) }

// ErrNothingFree means that a provider has no such server free now.
var ErrNothingFree = errors.New("the provider has none free now")

// ParseFrom reads from where SSH is let in: addresses and networks in CIDR form. All of the
// Internet is accepted where it is written out.
func ParseFrom(all []string) ([]netip.Prefix, error) {
	var from []netip.Prefix
	for _, text := range all {
		if address, err := netip.ParseAddr(text); err == nil {
			address = address.Unmap()
			from = append(from, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fault.WithCode(fmt.Errorf("%q is not an address or a network: write it like 203.0.113.7/32", text), fault.Usage)
		}
		if p != p.Masked() {
			return nil, fault.WithCode(fmt.Errorf("%s is an address in a network: write the network as %s", text, p.Masked()), fault.Usage)
		}
		from = append(from, p)
	}
	return from, nil
}
