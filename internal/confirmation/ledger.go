package confirmation

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/lockfile"
)

// LedgerFile is this clone's note of the grants that its operator confirmed.
const LedgerFile = "grants"

// ledger returns what this clone's operator confirmed. What no longer is in the
// newest commit is taken off it. A clone that has none yet begins with what the last
// apply has made true.
func (c *Confirmed) ledger(ctx context.Context) (grant.Ledger, error) {
	if c.book != nil {
		return *c.book, nil
	}
	file, err := c.checkout.Git.OwnFile(LedgerFile)
	if err != nil {
		return grant.Ledger{}, err
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		book, err := c.firstLedger(ctx)
		if err != nil {
			return book, err
		}
		return book, c.keepLedger(book)
	}
	if err != nil {
		return grant.Ledger{}, err
	}
	book := grant.Parse(content)
	if c.checkout.Files != checkout.Committed {
		c.book = &book
		return book, nil
	}
	book = book.Only(slices.Concat(declaredGrants(c.declared), formerGrants(c.declared), c.secretGrants()), func(name string) bool {
		stack, isSecret := strings.CutPrefix(name, "secret/")
		st, declared := c.checkout.Fleet.Stack(stack)
		return isSecret && declared && st.Broken
	})
	if bytes.Equal(book.Bytes(), content) {
		c.book = &book
		return book, nil
	}
	return book, c.keepLedger(book)
}

func (c *Confirmed) keepLedger(book grant.Ledger) error {
	file, err := c.checkout.Git.OwnFile(LedgerFile)
	if err != nil {
		return err
	}
	c.book = &book
	return atomicfile.Write(file, bytes.NewReader(book.Bytes()), 0o600)
}

// firstLedger has the grants of the commit that the last apply made, or of the
// repository's first one: what was given then is given, and a new clone knows nothing
// older. The files that say which hosts and logins there are must be signed, too.
func (c *Confirmed) firstLedger(ctx context.Context) (book grant.Ledger, err error) {
	logged, err := c.checkout.Git.Log(ctx, 1, lockfile.Name, fleet.SealedDir)
	if err == nil && len(logged) == 0 {
		logged, err = c.checkout.Git.Log(ctx, historyEnd, fleet.File)
	}
	if err != nil || len(logged) == 0 {
		return book, err
	}
	at, err := c.checkout.At(ctx, logged[len(logged)-1].Commit)
	if errors.Is(err, checkout.ErrNotLoaded) {
		return book, nil // nothing can be said of it, so everything is asked
	}
	if err != nil {
		return book, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	needs, err := c.opts.Needs(ctx, at)
	if err != nil {
		return book, err
	}
	then := &Confirmed{checkout: at, needs: needs}
	keys, err := Pinned(c.checkout.Git)
	if err != nil {
		return book, err
	}
	if len(keys) == 0 {
		keys = then.checkout.FleetSigners // which the operator is asked about before anything is done
	}
	given, err := signedOnly(then.checkout, declaredGrants(then.checkout.Repository), keys)
	return book.With(append(given, then.secretGrants()...)...), err
}

// historyEnd is more commits than a repository has.
const historyEnd = 1 << 30

// Making notes what a commit of this command's own lets others do: it was asked
// for by the operator of this clone. What it takes away goes with Published, since
// a commit that can't be pushed may be taken back.
func (c *Confirmed) Making(ctx context.Context, files map[string][]byte) error {
	book, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	before, after := declaredGrants(c.declared), c.declared.Amended(files)
	var made []grant.Grant
	for _, g := range declaredGrants(after) {
		if !slices.ContainsFunc(before, g.Is) {
			made = append(made, g)
		}
	}
	stay := append(declaredGrants(after), formerGrants(after)...)
	for _, g := range before {
		if !slices.ContainsFunc(stay, g.Is) {
			c.gone = append(c.gone, g)
		}
	}
	c.declared = after
	if len(made) == 0 {
		return nil
	}
	return c.keepLedger(book.With(made...))
}

// Published takes off the ledger what this command's commits have taken away.
func (c *Confirmed) Published(ctx context.Context) error {
	book, err := c.ledger(ctx)
	if err != nil || len(c.gone) == 0 {
		return err
	}
	gone := c.gone
	c.gone = nil
	return c.keepLedger(book.Without(gone...))
}

// TakenBack is for commits that are off the branch again.
func (c *Confirmed) TakenBack() { c.gone = nil }

// NoteMade notes that this clone has set secrets, by their names.
func (c *Confirmed) NoteMade(ctx context.Context, names ...string) error {
	book, err := c.ledger(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	return c.keepLedger(book.Make(names...))
}
