package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"salvor/internal/fault"
	"salvor/internal/identity"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// A NewKey is an operator's key that was made.
type NewKey struct {
	Recipient string // to be granted, it opens nothing until then
	Path      string // of the identity file
}

// PrepareNewKey proposes to make an identity for an operator of this fleet, protected by
// the passphrase. Nothing is overwritten: the error is then fs.ErrExist.
func (a *KeyChanges) PrepareNewKey(passphrase secret.Value) (proposal.Proposal[NewKey], error) {
	path, err := identity.PathOf(a.opts.Identity, a.checkout.Fleet.Name)
	return proposal.New("make a key", func(context.Context, progress.Sink) (NewKey, error) {
		key, err := agekey.Generate()
		if err == nil {
			err = agekey.Create(path, key, passphrase, a.opts.Work)
		}
		if errors.Is(err, fs.ErrExist) {
			err = fault.WithHint(fmt.Errorf("%s already exists: %w", path, err), "--identity FILE for a key elsewhere")
		}
		return NewKey{Recipient: key.Recipient, Path: path}, err
	}), err
}
