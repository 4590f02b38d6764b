package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/grant"
	"salvor/internal/needs"
	"salvor/internal/sign"
)

// signersPin is the clone's own copy of the fleet's signing keys: anyone who can push
// can change those in Git, but not these.
const signersPin = "fleet_signers"

// ConfirmOptions say how the operator is asked. What is nil refuses.
type ConfirmOptions struct {
	Approve func(Approval) error                                            // asked before this computer does what the repository says
	Grant   func([]grant.Grant) error                                       // has the operator confirm grants of one name
	Trust   func(question string) error                                     // asks at the terminal whether a key is whose it seems to be
	Needs   func(context.Context, *checkout.Checkout) (*needs.Needs, error) // what the stacks of an earlier commit need
}

// Confirmed is what the operator of this clone has confirmed: the fleet's signing keys,
// the remotes and programs that are used, and what the commit lets others do.
type Confirmed struct {
	checkout *checkout.Checkout
	needs    *needs.Needs
	opts     ConfirmOptions
	trust    trust

	declared *controlrepo.Repository // by the newest commit, see ownCommit
	book     *grant.Ledger           // see ledger; nil until it is read
	gone     []grant.Grant           // by this command's commits, see ownPublished

	approving sync.Mutex // held while the operator is asked, so that each thing is asked once
}

// NewConfirmed returns what is confirmed of a checkout. The stacks' needs follow with
// Rendered.
func NewConfirmed(c *checkout.Checkout, o ConfirmOptions) *Confirmed {
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
func (c *Confirmed) Trusted(ctx context.Context) (sign.Keys, error) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	return c.trusted(ctx)
}

// trusted is Trusted for callers that hold the lock.
func (c *Confirmed) trusted(ctx context.Context) (sign.Keys, error) {
	if c.trust.pinned != nil {
		return c.trust.pinned, nil
	}
	declared := c.checkout.FleetSigners
	if len(declared) == 0 {
		return nil, fault.WithHint(fmt.Errorf("the fleet has no signing key: there is none in %s", fleet.FleetSignersFile),
			"git log -- "+fleet.FleetSignersFile+" shows the commit that removed it; if the fleet never had one, an "+
				"older Salvor made it: start again with salvor init")
	}
	pinned, err := readPin(ctx, c.checkout.Git)
	if err != nil {
		return nil, err
	}
	if fresh := missing(declared, pinned); len(fresh) > 0 {
		if err := c.approveSigners(fresh, pinned); err != nil {
			return nil, err
		}
	}
	if err := c.pinSigners(ctx, declared); err != nil {
		return nil, err
	}
	return declared, nil
}

// Trust pins the fleet's signing keys that Git has, if the fingerprints name each
// one that this clone does not trust yet. Without fingerprints the operator is asked.
func (c *Confirmed) Trust(ctx context.Context, fingerprints []string) (sign.Keys, error) {
	if len(fingerprints) == 0 {
		return c.Trusted(ctx)
	}
	pinned, err := readPin(ctx, c.checkout.Git)
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
	if err := c.pinSigners(ctx, c.checkout.FleetSigners); err != nil {
		return nil, err
	}
	return c.trusted(ctx)
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
func (c *Confirmed) pinSigners(ctx context.Context, keys sign.Keys) error {
	if err := writePin(ctx, c.checkout.Git, c.checkout.Fleet.Name, keys); err != nil {
		return err
	}
	c.trust.pinned = keys
	return nil
}

func readPin(ctx context.Context, clone *git.Repository) (sign.Keys, error) {
	file, err := clone.OwnFile(ctx, signersPin)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	keys, err := sign.ParseSigners(content)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", file, err), "delete the file; salvor key trust writes it again")
	}
	return keys, nil
}

// writePin replaces the pin, unless it says the same.
func writePin(ctx context.Context, clone *git.Repository, fleet string, keys sign.Keys) error {
	file, err := clone.OwnFile(ctx, signersPin)
	if err != nil {
		return err
	}
	content := keys.Signers(fleet)
	if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, content) {
		return nil
	}
	return atomicfile.Write(file, bytes.NewReader(content), 0o600)
}

// trustOnly has this command trust the keys, and no others. The clone's own copy stays.
func (c *Confirmed) trustOnly(keys sign.Keys) {
	c.trust.mu.Lock()
	defer c.trust.mu.Unlock()
	c.trust.pinned = keys
}
