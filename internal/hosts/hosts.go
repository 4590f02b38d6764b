// Package hosts adds hosts to a fleet and removes them.
package hosts

import (
	"context"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/githost"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/reach"
)

// Changes add hosts to a fleet, and remove them, on the newest commit.
type Changes struct {
	checkout  *checkout.Checkout
	reach     *reach.Dialer
	confirmed *confirmation.Confirmed
	exposed   *exposed.Secrets
	gitHost   GitHost

	jumpKeys []string // lines of known_hosts, see PinJump
}

// A GitHost lets hosts read the repository, see githost.Host.
type GitHost interface {
	KeepKeys(ctx context.Context, changed map[string]string) (githost.Kept, error)
}

// New returns those of a checkout's fleet.
func New(c *checkout.Checkout, d *reach.Dialer, confirmed *confirmation.Confirmed, s *exposed.Secrets, g GitHost) *Changes {
	return &Changes{checkout: c, reach: d, confirmed: confirmed, exposed: s, gitHost: g}
}

// PinJump has a jump host's key, which the operator trusts, go into hosts/known_hosts
// with the next commit.
func (c *Changes) PinJump(ctx context.Context, jump fleet.Host, key ssh.PublicKey) error {
	if err := c.reach.Pin(jump, key); err != nil {
		return err
	}
	c.jumpKeys = append(c.jumpKeys, reach.KnownHostsName(jump.Address, jump.Port)+" "+string(key))
	pinned := c.reach.HostKeys()
	return c.confirmed.Note(ctx, confirmation.HostKeyGrant(&c.checkout.Fleet, pinned[len(pinned)-1]))
}

// PrepareAdd proposes to make a machine part of the fleet, with the SSH key by which the
// operator trusts it: see Add. It asks nothing more. The receipt has the key that the Git
// host must accept, and whether it does.
func (c *Changes) PrepareAdd(h fleet.Host, key ssh.PublicKey) proposal.Proposal[Addition] {
	return proposal.New("add host "+h.Name, func(ctx context.Context, _ progress.Sink) (Addition, error) {
		add, err := c.Add(ctx, h, key, false)
		if err != nil {
			return Addition{}, err
		}
		return c.committed(ctx, add, h.Name, "host add: "+h.Name)
	})
}

// committed commits and pushes an addition, and lets the host read the repository then.
func (c *Changes) committed(ctx context.Context, add Addition, host, message string) (Addition, error) {
	if err := c.checkout.CommitFiles(ctx, add.Files, message); err != nil {
		return add, err
	}
	add.Kept, add.Unread = c.gitHost.KeepKeys(ctx, map[string]string{host: add.GitKey})
	return add, nil
}

// An Addition is a host made part of the fleet, not committed yet.
type Addition struct {
	Files  map[string][]byte // fleet.yaml, hosts/<name>.pub, hosts/known_hosts, hosts/deploy_keys
	GitKey string            // what the Git host must accept, read-only
	Kept   githost.Kept      // says whether it was given that
	Unread error             // what failed there, about this host or another; nil where a person has to do it

	Replaced bool // another machine had the name before

	Manage fleet.Areas // what Salvor takes care of on a new host, nil for one that was declared before
	InUse  string      // what is on a new host already, of which nothing is Salvor's then; "" for nothing
}

// Add pins the host's key, installs salvord there, has it make its identity and
// returns the files that declare it. A declared host is enrolled again: it keeps its
// identity. What Salvor takes care of on a new host is h.Manage or, where that is nil, what the host itself leaves to
// Salvor: nothing where it has containers. Another machine under a name that has stacks is refused, unless it
// replaces the previous one; so is a machine that is a host already.
func (c *Changes) Add(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (Addition, error) {
	if err := fleet.ValidHost(h.Name); err != nil {
		return Addition{}, err
	}
	if err := c.another(h, key); err != nil {
		return Addition{}, err
	}
	if err := c.reach.Pin(h, key); err != nil {
		return Addition{}, err
	}
	enrolment, err := c.enrol(ctx, h)
	if err != nil {
		return Addition{}, err
	}
	return c.declare(ctx, h, key, enrolment, replaces)
}

// Enrol makes sure that a declared host has its identity and that the
// repository knows it; the files are nil when it did already.
func (c *Changes) Enrol(ctx context.Context, h fleet.Host) (Addition, error) {
	keys := reach.Pinned(c.reach.HostKeys(), h.Address, h.Port)
	if len(keys) == 0 {
		return Addition{}, fault.WithHint(fmt.Errorf("no host key of %s is pinned", h.Name), fmt.Sprintf("salvor host add %s %s@%s", h.Name, h.User, h.Address))
	}
	enrolment, err := c.enrol(ctx, h)
	if err != nil {
		return Addition{}, err
	}
	return c.declare(ctx, h, "", enrolment, false)
}

func (c *Changes) enrol(ctx context.Context, h fleet.Host) (agentapi.Enrolment, error) {
	trusted, err := c.confirmed.Trusted()
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	link, err := c.reach.Dial(ctx, h)
	if err == nil {
		err = link.AwaitBoot(ctx)
	}
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	return link.Enrol(ctx, c.checkout.Fleet.Name, trusted)
}
