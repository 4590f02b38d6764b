package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/cloud"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Servers are those that Salvor has made for hosts of a fleet, on the newest commit.
type Servers struct {
	hosts    *Changes
	checkout *checkout.Checkout
	clone    clone
}

// NewServers returns those of a fleet whose hosts these change.
func NewServers(c *Changes) *Servers {
	return &Servers{hosts: c, checkout: c.checkout, clone: clone{c.checkout.Git}}
}

// A Making is where and how a server is made for a host.
type Making struct {
	Provider cloud.Provider
	Order    cloud.Order
	Manage   fleet.Areas // what Salvor takes care of there; nil for what it does on any new host
	Patience cloud.Patience
}

// A Born server lets Salvor in as root, and is known by a key of its own. It is not part of
// the fleet yet.
type Born struct {
	Host fleet.Host
	Key  ssh.PublicKey

	server cloud.Server
}

// PrepareCreate proposes to make a server and to add it to the fleet, as PrepareAdd does. A
// run that fails takes away what it made. What an earlier one left, because it was killed, is
// taken away first.
func (s *Servers) PrepareCreate(ctx context.Context, m Making) (proposal.Proposal[Addition], error) {
	birth, err := s.birth(ctx, m)
	p := proposal.New("create host "+m.Order.Host, func(ctx context.Context, sink progress.Sink) (Addition, error) {
		born, err := birth.run(ctx, sink)
		if err != nil {
			return Addition{}, err
		}
		return birth.declare(ctx, born)
	})
	if err == nil {
		p.Plan, p.Question = birth.plan()
	}
	return p, err
}

// PrepareMake proposes to make a server that another workflow adds to the fleet, or Unmake
// takes away.
func (s *Servers) PrepareMake(ctx context.Context, m Making) (proposal.Proposal[Born], error) {
	birth, err := s.birth(ctx, m)
	p := proposal.New("make a server for "+m.Order.Host, func(ctx context.Context, sink progress.Sink) (Born, error) { return birth.run(ctx, sink) })
	if err == nil {
		p.Plan, p.Question = birth.plan()
	}
	return p, err
}

// Unmake takes a born server away that became no host, and returns why it did not. A server
// that the newest commit has is a host's, and stays.
func (s *Servers) Unmake(ctx context.Context, m Making, born Born, why error) (stays bool, err error) {
	declared, err := s.declared(context.WithoutCancel(ctx), born.server.Server)
	if declared || err != nil {
		return true, errors.Join(why, err)
	}
	return false, takeBack(ctx, m.Provider, born.server, why)
}

// declared reports whether a host of the newest commit has the server.
func (s *Servers) declared(ctx context.Context, server fleet.Server) (bool, error) {
	all, err := s.checkout.Git.Objects(ctx, []string{"HEAD:" + fleet.File})
	if err != nil || len(all) == 0 {
		return false, err
	}
	return bytes.Contains(all[0].Content, []byte(server.String())), nil
}

// A birth is a server that was looked for and not made.
type birth struct {
	Making
	servers *Servers
	seed    cloud.Seed
	left    []cloud.Server // by earlier runs
	offer   cloud.Offer
}

func (s *Servers) birth(ctx context.Context, m Making) (*birth, error) {
	name := m.Order.Host
	if err := fleet.ValidHost(name); err != nil {
		return nil, err
	}
	if _, declared := s.checkout.Fleet.Host(name); declared {
		return nil, fault.WithHint(fmt.Errorf("%s is a host of %s already", name, s.checkout.Fleet.Name), "choose another name; salvor host ls lists the hosts")
	}
	b := &birth{Making: m, servers: s}
	var err error
	if b.seed, err = s.seed(); err != nil {
		return nil, err
	}
	stray, err := s.Stray(ctx, m.Provider)
	if err != nil {
		return nil, err
	}
	b.left = slices.DeleteFunc(stray, func(found cloud.Server) bool { return found.Host != name })
	b.offer, err = m.Provider.Offer(ctx, m.Order)
	return b, err
}

// plan is what is shown before a server is made.
func (b *birth) plan() (plan, question string) {
	var text strings.Builder
	fmt.Fprintf(&text, "For host %s, at %s:\n\n", b.Order.Host, b.Provider.Place())
	for _, line := range b.offer.Lines {
		fmt.Fprintf(&text, "  + %s\n", line)
	}
	for _, s := range b.left {
		fmt.Fprintf(&text, "  - left by a run that did not end: %s\n", s.Has())
	}
	text.WriteString("\n")
	return text.String(), fmt.Sprintf("Make %s? The provider charges for it until salvor host destroy %[1]s", b.Order.Host)
}

// run makes the server and gets to know it.
func (b *birth) run(ctx context.Context, sink progress.Sink) (Born, error) {
	if err := b.servers.clone.place(b.Provider.Place()); err != nil {
		return Born{}, err
	}
	scope := progress.Scope{Sink: sink, Host: b.Order.Host}
	for _, s := range b.left {
		done := scope.Step("take away what was left", s.Has())
		err := b.Provider.Remove(ctx, s)
		done(err, "")
		if err != nil {
			return Born{}, err
		}
	}
	done := scope.Step("make the server", b.Provider.Place())
	server, err := b.offer.Make(ctx, cloud.NewID(), b.seed)
	done(err, server.Has())
	born := Born{server: server}
	if err == nil {
		born, err = b.know(ctx, server, sink)
	}
	if err != nil {
		return Born{}, takeBack(ctx, b.Provider, server, err)
	}
	return born, nil
}

// know has the server make a host key of its own.
func (b *birth) know(ctx context.Context, server cloud.Server, sink progress.Sink) (Born, error) {
	h := fleet.Host{Name: b.Order.Host, Address: server.Address, Port: server.Port, User: "root", Server: server.Server, Manage: b.Manage}
	if b.Manage.Has(fleet.AreaFirewall) { // as the provider's own firewall
		for _, p := range b.Order.From {
			from, err := fleet.ParseSource(p.String())
			if err != nil {
				return Born{server: server}, err
			}
			h.SSHFrom = append(h.SSHFrom, from)
		}
	}
	key, err := b.servers.rekey(ctx, h, b.seed.Once, b.Patience, sink)
	return Born{Host: h, Key: key, server: server}, err
}

// rekey has a host that is known by a key which it was given make one of its own.
func (s *Servers) rekey(ctx context.Context, h fleet.Host, once ssh.PublicKey, p cloud.Patience, sink progress.Sink) (ssh.PublicKey, error) {
	login, err := s.hosts.reach.Login(h)
	if err != nil {
		return "", err
	}
	return cloud.Rekey(ctx, login, once, p, sink)
}

// declare makes the server a host, as Add does with any other.
func (b *birth) declare(ctx context.Context, born Born) (Addition, error) {
	c := b.servers.hosts
	before := c.checkout.Commit
	add, err := c.Add(ctx, born.Host, born.Key, false)
	if err == nil {
		add, err = c.committed(ctx, add, born.Host.Name, "host create: "+born.Host.Name)
	}
	if err != nil && c.checkout.Commit == before { // else it is committed, and its server stays
		err = takeBack(ctx, b.Provider, born.server, err)
	}
	return add, err
}

// takeBackLimit is what a provider may take to remove what was just made.
const takeBackLimit = 10 * time.Minute

// takeBack removes what was made for a server that became no host, also after an
// interruption. It returns why that was, and what is still there.
func takeBack(ctx context.Context, p cloud.Provider, s cloud.Server, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackLimit)
	defer cancel()
	if err := p.Remove(ctx, s); err != nil {
		return errors.Join(why, fault.WithHint(fmt.Errorf("what was made for %s is still there: %w", s.Host, err), takesAway(s)))
	}
	return why
}

// takesAway is the command that removes a server which no host has.
func takesAway(s cloud.Server) string {
	return fmt.Sprintf("salvor host destroy %s --server %s", s.Host, s.Server)
}
