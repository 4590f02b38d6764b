package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/identity"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secretstore"
)

// KeyRotation says how an operator's key is replaced.
type KeyRotation struct {
	// Compromised means that someone else may have the old key: then the same follows
	// as from removing an operator.
	Compromised bool
	// Passphrase returns the new key's; path names a key that an earlier run has
	// made, "" for one that is made now.
	Passphrase func(path string) (secret.Value, error)
}

// A RotatedKey is what became of it.
type RotatedKey struct {
	KeysReceipt
	Operator string
	Path     string // the place of the new key, where the old one was
	Old      string // where the old one was moved
	Finished bool   // an earlier run had committed the change
}

// newKeyPath is where a key waits next to the one that it will replace.
func newKeyPath(path string) string { return path + ".new" }

// PrepareRotate proposes to replace the key of the operator whose identity is in use. The
// new one is made next to it; everything is encrypted to it instead of the old one, in one
// commit, which is pushed; and only when the new key was seen to open all of that
// commit does it take the old one's place. Killed at any moment, one of the two opens
// everything in the newest commit, and running it again finishes.
func (a *KeyChanges) PrepareRotate(o KeyRotation) proposal.Proposal[RotatedKey] {
	p := proposal.New("rotate your key", func(ctx context.Context, _ progress.Sink) (RotatedKey, error) {
		return a.rotateKey(ctx, o)
	})
	p.Question = "Replace your key?"
	return p
}

func (a *KeyChanges) rotateKey(ctx context.Context, o KeyRotation) (r RotatedKey, err error) {
	if r.Path, err = a.ownPath(); err != nil {
		return r, err
	}
	if err := a.mayRotate(newKeyPath(r.Path)); err != nil {
		return r, err
	}
	recipient, ring, err := pendingKey(newKeyPath(r.Path), o.Passphrase, a.opts.Work)
	if err != nil {
		return r, err
	}
	next := a.recipients()
	r.Operator = nameOf(next.Operators, recipient)
	if r.Finished = r.Operator != ""; r.Finished {
		a.identity.Use(ring) // the old key may open nothing here any more
	} else if r.Operator, err = a.myself(); err != nil {
		return r, err
	} else {
		a.identity.Use(identity.Keyrings{a.identity.Ring, ring})
	}
	next.Operators[r.Operator] = recipient
	if r.KeysReceipt, err = a.replaceKey(ctx, r.Operator, keyChange{next: next, newRecovery: o.Compromised}, r.Finished); err != nil {
		return r, err
	}
	if err := a.opensAll(ctx, ring); err != nil {
		return r, fmt.Errorf("the new key does not open everything, so the old one is kept at %s: %w", r.Path, err)
	}
	r.Old, err = agekey.Replace(r.Path, newKeyPath(r.Path), time.Now())
	return r, err
}

// mayRotate makes sure, before a new key is made, that the present identity belongs
// to the one operator whose key it replaces. Where an earlier run has made the new
// key, the old one may no longer be anyone's.
func (a *KeyChanges) mayRotate(waiting string) error {
	_, err := os.Lstat(waiting)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = a.myself()
	return err
}

// replaceKey commits and pushes the change. What an earlier run has committed is
// pushed, unless it left out what a compromised key asks for.
func (a *KeyChanges) replaceKey(ctx context.Context, operator string, c keyChange, committed bool) (KeysReceipt, error) {
	left, noted, err := a.leftOf(operator)
	if err != nil {
		return KeysReceipt{}, err
	}
	if committed && (!c.newRecovery || noted) {
		return left, a.checkout.Committer(false).Push(ctx)
	}
	c.message = "key rotate: " + operator
	if c.newRecovery {
		c.removed = &secretstore.Removal{Key: operator, At: time.Now()}
	}
	return a.changeKeys(ctx, c)
}

// leftOf is what an operator's compromised key has left to do, where a run has
// noted that it was one.
func (a *KeyChanges) leftOf(operator string) (h KeysReceipt, noted bool, err error) {
	if h.Exposed, noted, err = a.exposed.ByKey(operator); !noted {
		return h, false, err
	}
	for _, st := range a.checkout.Fleet.Stacks {
		if len(a.checkout.Lock.Stacks[st.Name].Former) > 0 {
			h.Stacks = append(h.Stacks, st.Name)
		}
	}
	return h, true, err
}

// ownPath is the place of the operator's identity, links followed.
func (a *KeyChanges) ownPath() (string, error) {
	path, err := identity.PathOf(a.opts.Identity, a.checkout.Fleet.Name)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil // anyone who opens it says so
	}
	return real, err
}

// pendingKey opens the key that an earlier run has made, or makes one.
func pendingKey(path string, passphrase func(path string) (secret.Value, error), work agekey.WorkFactor) (recipient string, ring agekey.Keyring, err error) {
	known := path
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		known = ""
	} else if err != nil {
		return "", nil, err
	}
	phrase, err := passphrase(known)
	if err != nil {
		return "", nil, err
	}
	if known == "" {
		if err := createKey(path, phrase, work); err != nil {
			return "", nil, err
		}
	}
	f, err := agekey.Open(path, agekey.FileOptions{Passphrase: func() (secret.Value, error) { return phrase, nil }})
	if err != nil {
		return "", nil, err
	}
	if recipient, err = f.Recipient(); err != nil && known != "" {
		err = fault.WithHint(fmt.Errorf("the new key made by an earlier run: %w", err),
			"its passphrase is the one chosen in that run; if git log shows no commit of that run, you can delete the file")
	}
	return recipient, f, err
}

func createKey(path string, passphrase secret.Value, work agekey.WorkFactor) error {
	key, err := agekey.Generate()
	if err != nil {
		return err
	}
	return agekey.Create(path, key, passphrase, work)
}

func nameOf(operators map[string]string, recipient string) string {
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		if operators[name] == recipient {
			return name
		}
	}
	return ""
}

// myself returns the operator whose identity is in use.
func (a *KeyChanges) myself() (string, error) {
	operators := a.checkout.Fleet.Recipients.Operators
	var names []string
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		has, err := a.identity.Has(operators[name])
		if err != nil {
			return "", err
		}
		if has {
			names = append(names, name)
		}
	}
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		if _, card, err := a.fleetKeys.OwnRecovery(); err != nil || card {
			return "", fault.WithHint(errors.Join(errors.New("this identity is the recovery key, not an operator's key"), err), makesAnOperator)
		}
		return "", fault.WithHint(errors.New("this identity does not belong to any operator"), "--identity FILE names yours")
	}
	return "", fault.WithHint(fmt.Errorf("this identity has the keys of several operators: %s", strings.Join(names, ", ")), "give "+
		"--identity FILE with only the key to replace")
}

// opensAll opens with a keyring everything in the newest commit that is encrypted
// to operators. Nothing is kept of it.
func (a *KeyChanges) opensAll(ctx context.Context, ring agekey.Keyring) (err error) {
	again, done, err := a.opts.Again(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	again.identity.Use(ring)
	if _, err := again.fleetKeys.Recovery(ctx); err != nil {
		return err
	}
	return again.opensSecrets(ctx)
}

// opensSecrets opens every secret and every file of snapshot passwords.
func (a *KeyChanges) opensSecrets(ctx context.Context) error {
	all, err := a.identity.Store.List()
	if err != nil {
		return err
	}
	for _, s := range all {
		if len(s.Recipients) == 0 {
			continue // a vault has a password, which is among the others
		}
		if _, err := a.identity.Secret(ctx, s.Name); err != nil {
			return err
		}
	}
	return a.needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		_, err := a.fleetKeys.OpenRecovery(ctx, stack, sealed)
		return err
	})
}
