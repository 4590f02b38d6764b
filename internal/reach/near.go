package reach

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
)

// How long a host gets to answer at its address in the tailnet, before it is tried at its own.
const (
	nearAnswer    = 2 * time.Second
	nearHandshake = 10 * time.Second
)

// tailnetBlock is where Tailscale's addresses are, which a provider may use for others: a
// computer that has none of its own there is in no such tailnet.
// Source: RFC 6598; https://tailscale.com/kb/1015/100.x-addresses
var tailnetBlock = netip.MustParsePrefix("100.64.0.0/10")

// near says how a host is reached by the tailnet: at the address that it had there last,
// directly, and by the same pinned keys. ok is false for one that can't be from here.
func (d *Dialer) near(h fleet.Host, o ssh.Options) (_ ssh.Options, ok bool) {
	ip, err := netip.ParseAddr(d.checkout.Lock.Tailnet[h.Name])
	if err != nil || ip.String() == o.Address || tailnetBlock.Contains(ip) && !d.inTailnet() {
		return o, false
	}
	o.Address, o.Jump, o.Timeout, o.Handshake = ip.String(), nil, nearAnswer, nearHandshake
	return o, true
}

// inTailnet reports whether this computer has an address where Tailscale's are.
func (d *Dialer) inTailnet() bool {
	own := d.opts.Own
	if own == nil {
		own = net.InterfaceAddrs
	}
	all, err := own()
	return err == nil && slices.ContainsFunc(all, func(a net.Addr) bool {
		p, err := netip.ParsePrefix(a.String())
		return err == nil && tailnetBlock.Contains(p.Addr().Unmap())
	})
}

// connect dials a host by the tailnet, and at its own address where it is not there: nothing
// answers, or what answers is another machine.
func (d *Dialer) connect(ctx context.Context, h fleet.Host, o ssh.Options) (machine.Machine, error) {
	if near, ok := d.near(h, o); ok {
		m, err := ssh.Dial(ctx, near)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, machine.ErrUnreachable) && !errors.Is(err, machine.ErrHostKey) || ctx.Err() != nil {
			return nil, err
		}
	}
	return ssh.Dial(ctx, o)
}

// Best says how a host is reached now, with the operator's keys and the fleet's: over the
// tailnet where it answers there with a pinned key.
func (d *Dialer) Best(ctx context.Context, h fleet.Host) (ssh.Options, error) {
	o, err := d.Login(h)
	if err != nil {
		return o, err
	}
	return d.best(ctx, h, o), nil
}

// best says how a host is reached now: by the tailnet where it answers there with a pinned key.
func (d *Dialer) best(ctx context.Context, h fleet.Host, o ssh.Options) ssh.Options {
	near, ok := d.near(h, o)
	if !ok {
		return o
	}
	shown, err := ssh.Scan(ctx, near)
	if err != nil || !slices.Contains(near.Keys, shown.Key) {
		return o
	}
	return near
}
