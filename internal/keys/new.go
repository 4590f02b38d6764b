package keys

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

// Made is an operator's key that was made.
type Made struct {
	Recipient string // to be granted, it opens nothing until then
	Path      string // of the identity file
}

// PrepareNew proposes to make an identity for an operator of this fleet, protected by
// the passphrase. Nothing is overwritten: the error is then fs.ErrExist.
func (c *Changes) PrepareNew(passphrase secret.Value) (proposal.Proposal[Made], error) {
	path, err := identity.PathOf(c.opts.Identity, c.checkout.Fleet.Name)
	return proposal.New("make a key", func(context.Context, progress.Sink) (Made, error) {
		key, err := agekey.Generate()
		if err == nil {
			err = agekey.Create(path, key, passphrase, c.opts.Work)
		}
		if errors.Is(err, fs.ErrExist) {
			err = fault.WithHint(fmt.Errorf("%s already exists: %w", path, err), "--identity FILE for a key elsewhere")
		}
		return Made{Recipient: key.Recipient, Path: path}, err
	}), err
}
