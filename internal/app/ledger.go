package app

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

// ledgerFile is this clone's note of the grants that its operator confirmed.
const ledgerFile = "grants"

// ledger returns what this clone's operator confirmed. What no longer stands in the
// newest commit is taken off it. A clone that has none yet begins with what the last
// apply has made true.
func (a *App) ledger(ctx context.Context) (grant.Ledger, error) {
	if a.book != nil {
		return *a.book, nil
	}
	file, err := a.Checkout.Git.OwnFile(ctx, ledgerFile)
	if err != nil {
		return grant.Ledger{}, err
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		book, err := a.firstLedger(ctx)
		if err != nil {
			return book, err
		}
		return book, a.keepLedger(ctx, book)
	}
	if err != nil {
		return grant.Ledger{}, err
	}
	book := grant.Parse(content)
	if a.Checkout.Files != checkout.Committed {
		a.book = &book
		return book, nil
	}
	book = book.Only(slices.Concat(declaredGrants(a.declared), formerGrants(a.declared), a.secretGrants()), func(name string) bool {
		stack, isSecret := strings.CutPrefix(name, "secret/")
		st, declared := a.Checkout.Fleet.Stack(stack)
		return isSecret && declared && st.Broken
	})
	if bytes.Equal(book.Bytes(), content) {
		a.book = &book
		return book, nil
	}
	return book, a.keepLedger(ctx, book)
}

func (a *App) keepLedger(ctx context.Context, book grant.Ledger) error {
	file, err := a.Checkout.Git.OwnFile(ctx, ledgerFile)
	if err != nil {
		return err
	}
	a.book = &book
	return atomicfile.Write(file, bytes.NewReader(book.Bytes()), 0o600)
}

// firstLedger has the grants of the commit that the last apply made, or of the
// repository's first one: what was given then is given, and a clone that somebody
// just made knows nothing older. Who is a host and who is let in must be signed, too.
func (a *App) firstLedger(ctx context.Context) (book grant.Ledger, err error) {
	logged, err := a.Checkout.Git.Log(ctx, 1, lockfile.Name, "sealed")
	if err == nil && len(logged) == 0 {
		logged, err = a.Checkout.Git.Log(ctx, historyEnd, fleet.File)
	}
	if err != nil || len(logged) == 0 {
		return book, err
	}
	at, err := a.Checkout.At(ctx, logged[len(logged)-1].Commit)
	if errors.Is(err, checkout.ErrNotLoaded) {
		return book, nil // nothing can be said of it, so everything is asked
	}
	if err != nil {
		return book, err
	}
	defer func() { err = errors.Join(err, at.Close()) }()
	then := &App{opts: a.opts, Checkout: at, Identity: a.Identity.At(at)}
	if err := then.resolveAll(ctx); err != nil {
		return book, err
	}
	keys, err := readPin(ctx, a.Checkout.Git)
	if err != nil {
		return book, err
	}
	if len(keys) == 0 {
		keys = then.Checkout.FleetSigners // which the operator is asked about before anything is done
	}
	given, err := then.signedOnly(declaredGrants(then.Checkout.Repository), keys)
	return book.With(append(given, then.secretGrants()...)...), err
}

// historyEnd is more commits than a repository has.
const historyEnd = 1 << 30

// ownCommit notes what a commit of this command's own lets others do: it was asked
// for by the operator of this clone. What it takes away goes with ownPublished, since
// a commit that can't be pushed may be taken back.
func (a *App) ownCommit(ctx context.Context, files map[string][]byte) error {
	book, err := a.ledger(ctx)
	if err != nil {
		return err
	}
	before, after := declaredGrants(a.declared), a.declared.Amended(files)
	var made []grant.Grant
	for _, g := range declaredGrants(after) {
		if !slices.ContainsFunc(before, g.Is) {
			made = append(made, g)
		}
	}
	stay := append(declaredGrants(after), formerGrants(after)...)
	for _, g := range before {
		if !slices.ContainsFunc(stay, g.Is) {
			a.gone = append(a.gone, g)
		}
	}
	a.declared = after
	if len(made) == 0 {
		return nil
	}
	return a.keepLedger(ctx, book.With(made...))
}

// ownPublished takes off the ledger what this command's commits have taken away.
func (a *App) ownPublished(ctx context.Context) error {
	book, err := a.ledger(ctx)
	if err != nil || len(a.gone) == 0 {
		return err
	}
	gone := a.gone
	a.gone = nil
	return a.keepLedger(ctx, book.Without(gone...))
}

// forgetGone is for commits that are off the branch again.
func (a *App) forgetGone() { a.gone = nil }

// noteMade notes that this clone has set secrets, by their names.
func (a *App) noteMade(ctx context.Context, names ...string) error {
	book, err := a.ledger(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	return a.keepLedger(ctx, book.Make(names...))
}
