package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/secretstore"
)

// SecretChanges give secrets other values.
type SecretChanges struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	exposed   *exposed.Secrets
}

// NewSecretChanges returns those of a checkout.
func NewSecretChanges(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, s *exposed.Secrets) *SecretChanges {
	return &SecretChanges{checkout: c, identity: id, needs: n, confirmed: confirmed, exposed: s}
}

// warnOfPassword is warnOfWeak for a value that is about to become the password of
// vaults.
func (a *SecretChanges) warnOfPassword(name string, value secret.Value) {
	for id, setting := range a.checkout.Fleet.Vaults {
		if ref, ok := setting.Secret(); ok && ref == name && secret.Weak(value) {
			a.identity.WarnOfWeak(id)
		}
	}
}

// A ChangedSecret is one whose new value is committed.
type ChangedSecret struct{ Name string }

// PrepareSet encrypts a value and proposes to commit it, by any name that the store takes:
// NAME is a secret of the fleet, STACK/KEY a variable of a stack, FILE.yml/KEY a
// value in a YAML file.
func (a *SecretChanges) PrepareSet(ctx context.Context, name string, value secret.Value) (proposal.Proposal[ChangedSecret], error) {
	files, err := a.secretChange(ctx, name, value)
	return a.proposed("set", name, files), err
}

// proposed is the proposal to commit what a command made of a secret.
func (a *SecretChanges) proposed(command, name string, files secretstore.Changes) proposal.Proposal[ChangedSecret] {
	return proposal.New(command+" "+name, func(ctx context.Context, _ progress.Sink) (ChangedSecret, error) {
		return ChangedSecret{Name: name}, a.checkout.CommitFiles(ctx, files, "secret "+command+": "+name)
	})
}

// MayRotate returns why a secret can't be rotated: there is none of that name, or a
// database was made with it and no command changes it in the database.
func (a *SecretChanges) MayRotate(name string) error {
	all, err := a.identity.Store.List()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(i secretstore.Info) bool { return i.Name == name }) {
		return fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret set "+name+" creates it")
	}
	for _, u := range a.needs.Uses(name) {
		if a.needs.DatabaseKeeps(u) {
			return fault.WithHint(fmt.Errorf("%s: the database %s keeps its first password, and no on_rotate changes it "+
				"there: its clients would be rejected", name, u),
				"set x-salvor.on_rotate of the stack "+u.Stack+", see docs/secrets.md; or change it in the database "+
					"yourself, then run salvor secret set "+name)
		}
	}
	return nil
}

// RotateSecret commits a new value of a secret that is there already. It returns the
// files as they were, for UndoRotation.
func (a *SecretChanges) RotateSecret(ctx context.Context, name string, value secret.Value) (before secretstore.Changes, err error) {
	if err := a.MayRotate(name); err != nil {
		return nil, err
	}
	files, err := a.secretChange(ctx, name, value)
	if err != nil {
		return nil, err
	}
	before = secretstore.Changes{}
	for path := range files {
		if before[path], err = a.checkout.File(path); err != nil {
			return nil, err
		}
	}
	return before, a.checkout.CommitFiles(ctx, files, "secret rotate: "+name)
}

// UndoRotation commits a secret's files as they were.
func (a *SecretChanges) UndoRotation(ctx context.Context, name string, before secretstore.Changes) error {
	return a.checkout.CommitFiles(ctx, before, "secret rotate: "+name+", old value restored")
}

// secretChange returns the files that give a secret a value, and with it forget who
// has seen the previous one.
func (a *SecretChanges) secretChange(ctx context.Context, name string, value secret.Value) (files secretstore.Changes, err error) {
	if command, own := secretnames.Replacing(name); own { // another could be a key that no host takes
		return nil, fault.WithHint(errors.New(name+" is made by Salvor, together with its public key"), command)
	}
	a.warnOfPassword(name, value)
	if err := a.confirmed.MayEncrypt(ctx); err != nil {
		return nil, err
	}
	if files, err = a.identity.Store.Writer().Set(ctx, name, value); err != nil {
		return nil, err
	}
	if err := a.confirmed.NoteMade(ctx, name); err != nil {
		return nil, err
	}
	return files, a.exposed.NoteChanged(files, name)
}

// RaiseRevision commits that a program prints another value from now on, so that
// what is sealed with the old one is out of date. The program has to print one.
func (a *SecretChanges) RaiseRevision(ctx context.Context, name string) error {
	s, _ := a.checkout.Fleet.Secret(name)
	if _, err := a.identity.Store.Resolve(ctx, name); err != nil {
		return err
	}
	content, err := a.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	if content, err = controlrepo.SetRevision(content, name, s.Revision+1); err != nil {
		return err
	}
	files := map[string][]byte{fleet.File: content}
	if err := a.exposed.NoteChanged(files, name); err != nil {
		return err
	}
	return a.checkout.CommitFiles(ctx, files, fmt.Sprintf("secret rotate: %s, revision %d", name, s.Revision+1))
}
