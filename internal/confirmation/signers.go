// Package confirmation keeps what the operator of this clone was asked and said yes to: the
// fleet's signing keys, the remotes and programs that are used, and the grants of a commit.
// Anyone who can push can change what a commit says, but not these answers.
package confirmation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/needs"
	"salvor/internal/sign"
)

// Options say how the operator is asked. What is nil refuses.
type Options struct {
	Approve func(Approval) error                                            // asked before this computer does what the repository says
	Grant   func([]grant.Grant) error                                       // has the operator confirm grants of one name
	Trust   func(question string) error                                     // asks at the terminal whether a key is whose it seems to be
	Needs   func(context.Context, *checkout.Checkout) (*needs.Needs, error) // what the stacks of an earlier commit need
}

// Confirmed is what the operator of this clone has confirmed of a fleet.
type Confirmed struct {
	checkout *checkout.Checkout
	needs    *needs.Needs
	opts     Options
	trust    trust

	declared *controlrepo.Repository // by the newest commit, see Making
	book     *grant.Ledger           // see ledger; nil until it is read
	gone     []grant.Grant           // by this command's commits, see Published

	approving sync.Mutex // held while the operator is asked, so that each thing is asked once
}

// New returns what is confirmed of a checkout. The stacks' needs follow with
// Rendered.
func New(c *checkout.Checkout, o Options) *Confirmed {
	return &Confirmed{checkout: c, opts: o, declared: c.Declared()}
}

// Rendered says what the stacks need, before grants are asked for.
func (c *Confirmed) Rendered(n *needs.Needs) { c.needs = n }

// trust is what this command knows of the fleet's signing key, once it was needed.
type trust struct {
	mu     sync.Mutex // guards what follows
	pinned sign.Keys
}

// Trusted returns the fleet's signing keys that this clone trusts; the first one
// signs. What is signed by another key is not the fleet's. Keys that Git has and
// this clone does not trust yet are shown to the operator, once; without a terminal
// they are refused.
func (c *Confirmed) Trusted() (sign.Keys, error) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	return c.trusted()
}

// trusted is Trusted for callers that hold the lock.
func (c *Confirmed) trusted() (sign.Keys, error) {
	if c.trust.pinned != nil {
		return c.trust.pinned, nil
	}
	declared := c.checkout.FleetSigners
	if len(declared) == 0 {
		return nil, fault.WithHint(fmt.Errorf("the fleet has no signing key: there is none in %s", fleet.FleetSignersFile),
			"git log -- "+fleet.FleetSignersFile+" shows the commit that removed it; if the fleet never had one, an "+
				"older Salvor made it: start again with salvor init")
	}
	pinned, err := Pinned(c.checkout.Git)
	if err != nil {
		return nil, err
	}
	if fresh := missing(declared, pinned); len(fresh) > 0 {
		if err := c.approveSigners(fresh, pinned); err != nil {
			return nil, err
		}
	}
	if err := c.pinSigners(declared); err != nil {
		return nil, err
	}
	return declared, nil
}

// Trust pins the fleet's signing keys that Git has, if the fingerprints name each
// one that this clone does not trust yet. Without fingerprints the operator is asked.
func (c *Confirmed) Trust(fingerprints []string) (sign.Keys, error) {
	if len(fingerprints) == 0 {
		return c.Trusted()
	}
	pinned, err := Pinned(c.checkout.Git)
	if err != nil {
		return nil, err
	}
	for _, k := range missing(c.checkout.FleetSigners, pinned) {
		if !slices.Contains(fingerprints, k.Fingerprint()) {
			return nil, fault.WithHint(fmt.Errorf("%s has the key %s, which is not the one you named", fleet.FleetSignersFile, k.Fingerprint()),
				"ask an operator of the fleet for the fingerprint that salvor key trust prints in their clone; the recovery card shows it too")
		}
	}
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	if err := c.pinSigners(c.checkout.FleetSigners); err != nil {
		return nil, err
	}
	return c.trusted()
}

// missing returns the keys that are not among those pinned.
func missing(declared, pinned sign.Keys) sign.Keys {
	return slices.DeleteFunc(slices.Clone(declared), func(k sign.Public) bool { return slices.Contains(pinned, k) })
}

// approveSigners asks the operator whether keys are the fleet's.
func (c *Confirmed) approveSigners(fresh, pinned sign.Keys) error {
	names := strings.Join(fresh.Fingerprints(), " and ")
	text := fmt.Sprintf("this clone does not know the fleet's signing key yet; %s says %s", fleet.FleetSignersFile, names)
	if len(pinned) > 0 {
		text = fmt.Sprintf("%s has a signing key that this clone does not trust: %s; it trusts %s", fleet.FleetSignersFile, names, strings.Join(pinned.Fingerprints(), " and "))
	}
	hint := "compare it with the recovery card, or with the output of salvor key trust in another operator's clone; if " +
		"it is the same: salvor key trust " + strings.Join(fresh.Fingerprints(), " ")
	if c.opts.Trust == nil {
		return fault.WithHint(errors.New(text), hint)
	}
	err := c.opts.Trust(text + ". The holder of this key commands every host. Compare the fingerprint with the recovery " +
		"card, or with the output of salvor key trust in another operator's clone. Is it the same?")
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", text, err), hint)
	}
	return nil
}

// pinSigners makes this clone trust these keys, and no others, from now on.
func (c *Confirmed) pinSigners(keys sign.Keys) error {
	if err := Pin(c.checkout.Git, c.checkout.Fleet.Name, keys); err != nil {
		return err
	}
	c.trust.pinned = keys
	return nil
}

// TrustOnly has this command trust the keys, and no others. The clone's own copy stays.
func (c *Confirmed) TrustOnly(keys sign.Keys) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	c.trust.pinned = keys
}

// TrustsSigners reports whether this clone trusts the signing keys that Git has, without a
// question.
func (c *Confirmed) TrustsSigners() (bool, error) {
	pinned, err := Pinned(c.checkout.Git)
	return err == nil && len(missing(c.checkout.FleetSigners, pinned)) == 0, err
}
