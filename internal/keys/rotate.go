package keys

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

// A Rotation says how an operator's key is replaced.
type Rotation struct {
	// Compromised means that someone else may have the old key: then the same follows
	// as from removing an operator.
	Compromised bool
	// Passphrase returns the new key's; path names a key that an earlier run has
	// made, "" for one that is made now.
	Passphrase func(path string) (secret.Value, error)
}

// Rotated is what became of it.
type Rotated struct {
	Receipt
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
func (c *Changes) PrepareRotate(o Rotation) proposal.Proposal[Rotated] {
	p := proposal.New("rotate your key", func(ctx context.Context, _ progress.Sink) (Rotated, error) {
		return c.rotateKey(ctx, o)
	})
	p.Question = "Replace your key?"
	return p
}

func (c *Changes) rotateKey(ctx context.Context, o Rotation) (r Rotated, err error) {
	if r.Path, err = c.ownPath(); err != nil {
		return r, err
	}
	if err := c.mayRotate(newKeyPath(r.Path)); err != nil {
		return r, err
	}
	recipient, ring, err := pendingKey(newKeyPath(r.Path), o.Passphrase, c.opts.Work)
	if err != nil {
		return r, err
	}
	next := c.recipients()
	r.Operator = nameOf(next.Operators, recipient)
	if r.Finished = r.Operator != ""; r.Finished {
		c.identity.Use(ring) // the old key may open nothing here any more
	} else if r.Operator, err = c.myself(); err != nil {
		return r, err
	} else {
		c.identity.Use(identity.Keyrings{c.identity.Ring, ring})
	}
	next.Operators[r.Operator] = recipient
	if r.Receipt, err = c.replaceKey(ctx, r.Operator, change{next: next, newRecovery: o.Compromised}, r.Finished); err != nil {
		return r, err
	}
	if err := c.opensAll(ctx, ring); err != nil {
		return r, fmt.Errorf("the new key does not open everything, so the old one is kept at %s: %w", r.Path, err)
	}
	r.Old, err = agekey.Replace(r.Path, newKeyPath(r.Path), time.Now())
	return r, err
}

// mayRotate makes sure, before a new key is made, that the present identity belongs
// to the one operator whose key it replaces. Where an earlier run has made the new
// key, the old one may no longer be anyone's.
func (c *Changes) mayRotate(waiting string) error {
	_, err := os.Lstat(waiting)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = c.myself()
	return err
}

// replaceKey commits and pushes the change. What an earlier run has committed is
// pushed, unless it left out what a compromised key asks for.
func (c *Changes) replaceKey(ctx context.Context, operator string, want change, committed bool) (Receipt, error) {
	left, noted, err := c.leftOf(operator)
	if err != nil {
		return Receipt{}, err
	}
	if committed && (!want.newRecovery || noted) {
		return left, c.checkout.Committer(false).Push(ctx)
	}
	want.message = "key rotate: " + operator
	if want.newRecovery {
		want.removed = &secretstore.Removal{Key: operator, At: time.Now()}
	}
	return c.changeKeys(ctx, want)
}

// leftOf is what an operator's compromised key has left to do, where a run has
// noted that it was one.
func (c *Changes) leftOf(operator string) (r Receipt, noted bool, err error) {
	if r.Exposed, noted, err = c.exposed.ByKey(operator); !noted {
		return r, false, err
	}
	for _, st := range c.checkout.Fleet.Stacks {
		if len(c.checkout.Lock.Stacks[st.Name].Former) > 0 {
			r.Stacks = append(r.Stacks, st.Name)
		}
	}
	return r, true, err
}

// ownPath is the place of the operator's identity, links followed.
func (c *Changes) ownPath() (string, error) {
	path, err := identity.PathOf(c.opts.Identity, c.checkout.Fleet.Name)
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
	f, err := agekey.Open(path, agekey.FileOptions{Passphrase: agekey.One(phrase)})
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
func (c *Changes) myself() (string, error) {
	operators := c.checkout.Fleet.Recipients.Operators
	var names []string
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		has, err := c.identity.Has(operators[name])
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
		if _, card, err := c.fleetKeys.OwnRecovery(); err != nil || card {
			return "", fault.WithHint(errors.Join(errors.New("this identity is the recovery key, not an operator's key"), err), makesAnOperator)
		}
		return "", fault.WithHint(errors.New("this identity does not belong to any operator"), "--identity FILE names yours")
	}
	return "", fault.WithHint(fmt.Errorf("this identity has the keys of several operators: %s", strings.Join(names, ", ")), "give "+
		"--identity FILE with only the key to replace")
}

// opensAll opens with a keyring everything in the newest commit that is encrypted
// to operators. Nothing is kept of it.
func (c *Changes) opensAll(ctx context.Context, ring agekey.Keyring) (err error) {
	again, done, err := c.opts.Again(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	again.identity.Use(ring)
	if _, err := again.fleetKeys.Recovery(); err != nil {
		return err
	}
	return again.opensSecrets(ctx)
}

// opensSecrets opens every secret and every file of snapshot passwords.
func (c *Changes) opensSecrets(ctx context.Context) error {
	all, err := c.identity.Store.List()
	if err != nil {
		return err
	}
	for _, s := range all {
		if len(s.Recipients) == 0 {
			continue // a vault has a password, which is among the others
		}
		if _, err := c.identity.Secret(ctx, s.Name); err != nil {
			return err
		}
	}
	return c.needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		_, err := c.fleetKeys.OpenRecovery(stack, sealed)
		return err
	})
}
