// Package secretchange gives secrets new values, and says which are due for one.
package secretchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/secretstore"
)

// Changes give secrets new values, in commits.
type Changes struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	exposed   *exposed.Secrets
}

// New returns those of a checkout.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, s *exposed.Secrets) *Changes {
	return &Changes{checkout: c, identity: id, needs: n, confirmed: confirmed, exposed: s}
}

// Changed is a secret whose new value is committed, or waits with the stack's other files for
// the operator's commit.
type Changed struct {
	Name   string
	Staged bool
}

// MaySet returns why a secret can't be set, as far as that is known without the value. The
// operator's key is asked for here if it is needed. fresh is for one that must not be there
// already.
func (c *Changes) MaySet(ctx context.Context, name string, fresh bool) error {
	if command, own := secretnames.Replacing(name); own { // another could be a key that no host takes
		return fault.WithHint(errors.New(name+" is made by Salvor, together with its public key"), command)
	}
	if has, err := c.has(name); err != nil {
		return err
	} else if has && fresh {
		return fault.WithHint(fmt.Errorf("there is already a secret %s", name), c.needs.Renewal(name).String())
	}
	if err := c.confirmed.MayEncrypt(ctx); err != nil || !c.identity.Store.Writer().Opens(name) {
		return err
	}
	_, err := c.identity.Ring.Identities()
	return err
}

// has reports whether there is a secret of that name.
func (c *Changes) has(name string) (bool, error) {
	all, err := c.identity.Store.List()
	return slices.ContainsFunc(all, func(i secretstore.Info) bool { return i.Name == name }), err
}

// PrepareSet encrypts a value and proposes to commit it, by any name that the store takes:
// NAME is a secret of the fleet, STACK/KEY a variable of a stack, FILE.yml/KEY a
// value in a YAML file.
func (c *Changes) PrepareSet(ctx context.Context, name string, value secret.Value) (proposal.Proposal[Changed], error) {
	files, err := c.Encrypt(ctx, name, value)
	return c.proposed("set", name, files), err
}

// proposed is the proposal to commit what a command made of a secret.
func (c *Changes) proposed(command, name string, files secretstore.Changes) proposal.Proposal[Changed] {
	return proposal.New(command+" "+name, func(ctx context.Context, _ progress.Sink) (Changed, error) {
		seen, waits, err := c.uncommitted(ctx, files)
		if err != nil {
			return Changed{}, err
		}
		if waits {
			return Changed{Name: name, Staged: true}, c.checkout.StageFiles(ctx, files, seen)
		}
		return Changed{Name: name}, c.checkout.CommitFiles(ctx, files, "secret "+command+": "+name)
	})
}

// uncommitted reports whether files of an opened working tree are not as the newest commit
// has them: what is made from them waits, too. It returns them.
func (c *Changes) uncommitted(ctx context.Context, files secretstore.Changes) (seen map[string][]byte, waits bool, err error) {
	if c.checkout.Files != checkout.WorkTree || c.checkout.Commit == "" {
		return nil, false, nil
	}
	seen = map[string][]byte{}
	for _, p := range files.Paths() {
		committed, err := c.checkout.Git.Objects(ctx, []string{string(c.checkout.Commit) + ":" + p})
		if err != nil {
			return nil, false, err
		}
		content, err := c.checkout.File(p)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
		if err == nil {
			seen[p] = content
			waits = waits || !bytes.Equal(content, committed[0].Content)
		}
	}
	return seen, waits, nil
}

// Encrypt returns the files that give a secret a value, after which it is not exposed any
// more. The fleet's own keys are refused.
func (c *Changes) Encrypt(ctx context.Context, name string, value secret.Value) (files secretstore.Changes, err error) {
	if command, own := secretnames.Replacing(name); own { // another could be a key that no host takes
		return nil, fault.WithHint(errors.New(name+" is made by Salvor, together with its public key"), command)
	}
	c.warnOfPassword(name, value)
	if err := c.confirmed.MayEncrypt(ctx); err != nil {
		return nil, err
	}
	if files, err = c.identity.Store.Writer().Set(ctx, name, value); err != nil {
		return nil, err
	}
	if err := c.confirmed.NoteMade(ctx, name); err != nil {
		return nil, err
	}
	return files, c.exposed.NoteChanged(files, name)
}

// warnOfPassword warns of a weak value that is about to become the password of vaults.
func (c *Changes) warnOfPassword(name string, value secret.Value) {
	for id, setting := range c.checkout.Fleet.Vaults {
		if ref, ok := setting.Secret(); ok && ref == name && secret.Weak(value) {
			c.identity.WarnOfWeak(id)
		}
	}
}
