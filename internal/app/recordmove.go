package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/card"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
)

// A RecordMove is the record on its way to another place.
type RecordMove struct {
	record.Relocated
	From, To fleet.Location
	Changed  map[string][]byte // files that belong into the commit of the new place
}

// RecordPlace reads REMOTE or REMOTE:PATH as a place for the record. Without a path
// it is the one that the record has now, which no other fleet has.
func (r *recorder) RecordPlace(text string) (fleet.Location, error) {
	remote, path, given := strings.Cut(text, ":")
	to := fleet.Location{Remote: remote, Path: r.checkout.Fleet.Record.Path}
	if given {
		to.Path = path
	}
	from := r.checkout.Fleet.Record
	_, declared := r.checkout.Fleet.Remote(remote)
	switch {
	case !declared:
		return to, fault.WithHint(fmt.Errorf("remote %s is not declared", remote), "declare it under remotes: in fleet.yaml, and commit")
	case from.Remote == "":
		return to, fault.WithHint(errors.New("the fleet has no record yet"), "salvor apply creates it, on the first remote in fleet.yaml")
	case to != from && to.Remote == from.Remote && (within(to.Path, from.Path) || within(from.Path, to.Path)):
		return to, fmt.Errorf("%s and %s overlap: one is inside the other", from, to)
	}
	return to, controlrepo.CheckRecord(to)
}

func within(inner, outer string) bool { return strings.HasPrefix(inner+"/", outer+"/") }

// MoveRecord carries the record to another place, marks the one that it leaves, and
// has this App work with the new one. The caller commits it to the lock. It may be
// run again, also with the place where the record was before.
func (r *recorder) MoveRecord(ctx context.Context, to fleet.Location) (RecordMove, error) {
	m := RecordMove{From: r.checkout.Fleet.Record, To: to, Changed: map[string][]byte{}}
	if err := r.checkout.Behind(ctx); err != nil {
		return m, err // a commit that can't be published would leave the record between two places
	}
	var err error
	if m.From != to {
		err = r.changedWithRecord(m.Changed)
	}
	if err != nil {
		return m, err
	}
	if m.Relocated, err = r.carryRecord(ctx, m.From, to); err != nil {
		return m, fmt.Errorf("move the record to %s: %w", to, err)
	}
	r.checkout.Fleet.Record = to
	return m, nil
}

func (r *recorder) carryRecord(ctx context.Context, from, to fleet.Location) (done record.Relocated, err error) {
	chain, _, err := record.Chain(ctx, from, r.folder, r.trust())
	if err != nil {
		return done, err
	}
	folder, err := r.open(ctx, to)
	if err == nil {
		done, err = record.Relocate(ctx, chain, record.Site{Where: to, Folder: folder}, r.trust())
		err = errors.Join(err, folder.Close(context.WithoutCancel(ctx)))
	}
	for _, s := range chain {
		err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	if errors.Is(err, record.ErrTaken) {
		err = fault.WithHint(err, "choose an empty folder: salvor record move REMOTE:PATH")
	}
	return done, err
}

// changedWithRecord adds the files that say something else once the record is at
// another place: the card that was tried leads to the old one.
func (r *recorder) changedWithRecord(files map[string][]byte) error {
	config, err := r.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	without, err := controlrepo.RemoveRecord(config)
	if err != nil {
		return err
	}
	if string(without) != string(config) {
		files[fleet.File] = without
	}
	proven, err := card.ReadProven(r.checkout.File)
	if err != nil {
		return err
	}
	if _, tried := proven[r.checkout.Fleet.Recipients.Recovery]; tried {
		delete(proven, r.checkout.Fleet.Recipients.Recovery)
		files[card.ProvenPath], err = proven.Encode()
	}
	return err
}
