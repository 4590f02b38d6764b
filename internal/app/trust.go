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
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/sign"
)

// signersPin is the clone's own copy of the fleet's signing keys: anyone who can push
// can change those in Git, but not these.
const signersPin = "fleet_signers"

// trust is what this command knows of the fleet's signing key, once it was needed.
type trust struct {
	mu     sync.Mutex // guards what follows
	pinned sign.Keys
	key    *sign.Key
}

// Trusted returns the fleet's signing keys that this clone trusts; the first one
// signs. What is signed by another key is not the fleet's. Keys that Git has and
// this clone does not trust yet are shown to the operator, once; without a terminal
// they are refused.
func (a *App) Trusted(ctx context.Context) (sign.Keys, error) {
	a.trust.mu.Lock()
	defer a.trust.mu.Unlock()
	return a.trusted(ctx)
}

// trusted is Trusted for callers that hold the lock.
func (a *App) trusted(ctx context.Context) (sign.Keys, error) {
	if a.trust.pinned != nil {
		return a.trust.pinned, nil
	}
	declared := a.Checkout.FleetSigners
	if len(declared) == 0 {
		return nil, fault.WithHint(fmt.Errorf("the fleet has no signing key: there is none in %s", fleet.FleetSignersFile),
			"git log -- "+fleet.FleetSignersFile+" shows the commit that removed it; if the fleet never had one, an "+
				"older Salvor made it: start again with salvor init")
	}
	pinned, err := readPin(ctx, a.Checkout.Git)
	if err != nil {
		return nil, err
	}
	if fresh := missing(declared, pinned); len(fresh) > 0 {
		if err := a.approveSigners(fresh, pinned); err != nil {
			return nil, err
		}
	}
	if err := a.pinSigners(ctx, declared); err != nil {
		return nil, err
	}
	return declared, nil
}

// Trust pins the fleet's signing keys that Git has, if the fingerprints name each
// one that this clone does not trust yet. Without fingerprints the operator is asked.
func (a *App) Trust(ctx context.Context, fingerprints []string) (sign.Keys, error) {
	if len(fingerprints) == 0 {
		return a.Trusted(ctx)
	}
	pinned, err := readPin(ctx, a.Checkout.Git)
	if err != nil {
		return nil, err
	}
	for _, k := range missing(a.Checkout.FleetSigners, pinned) {
		if !slices.Contains(fingerprints, k.Fingerprint()) {
			return nil, fault.WithHint(fmt.Errorf("%s has the key %s, which is not the one you named", fleet.FleetSignersFile, k.Fingerprint()),
				"ask an operator of the fleet for the fingerprint that salvor key trust prints in their clone; the recovery card shows it too")
		}
	}
	a.trust.mu.Lock()
	defer a.trust.mu.Unlock()
	if err := a.pinSigners(ctx, a.Checkout.FleetSigners); err != nil {
		return nil, err
	}
	return a.trusted(ctx)
}

// missing returns the keys that are not among those pinned.
func missing(declared, pinned sign.Keys) sign.Keys {
	return slices.DeleteFunc(slices.Clone(declared), func(k sign.Public) bool { return slices.Contains(pinned, k) })
}

// approveSigners asks the operator whether keys are the fleet's.
func (a *App) approveSigners(fresh, pinned sign.Keys) error {
	names := strings.Join(fresh.Fingerprints(), " and ")
	text := fmt.Sprintf("this clone does not know the fleet's signing key yet; %s says %s", fleet.FleetSignersFile, names)
	if len(pinned) > 0 {
		text = fmt.Sprintf("%s has a signing key that this clone does not trust: %s; it trusts %s", fleet.FleetSignersFile, names, strings.Join(pinned.Fingerprints(), " and "))
	}
	hint := "compare it with the recovery card, or with the output of salvor key trust in another operator's clone; if " +
		"it is the same: salvor key trust " + strings.Join(fresh.Fingerprints(), " ")
	if a.opts.Trust == nil {
		return fault.WithHint(errors.New(text), hint)
	}
	err := a.opts.Trust(text + ". The holder of this key commands every host. Compare the fingerprint with the recovery " +
		"card, or with the output of salvor key trust in another operator's clone. Is it the same?")
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", text, err), hint)
	}
	return nil
}

// pinSigners makes this clone trust these keys, and no others, from now on.
func (a *App) pinSigners(ctx context.Context, keys sign.Keys) error {
	if err := writePin(ctx, a.Checkout.Git, a.Checkout.Fleet.Name, keys); err != nil {
		return err
	}
	a.trust.pinned = keys
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
