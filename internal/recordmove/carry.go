package recordmove

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/card"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
)

// carry carries the record to the new place, marks the one that it leaves, and has the
// opened fleet work with the new one. It returns the files that belong into the commit
// of the new place. It may be run again, also with the place where the record was before.
func (m *move) carry(ctx context.Context) (map[string][]byte, record.Relocated, error) {
	if err := m.fleet.Behind(ctx); err != nil {
		return nil, record.Relocated{}, err // a commit that can't be published would leave the record between two places
	}
	changed := map[string][]byte{}
	if m.from != m.to {
		if err := m.change(changed); err != nil {
			return nil, record.Relocated{}, err
		}
	}
	done, err := m.relocate(ctx)
	if err != nil {
		return nil, done, fmt.Errorf("move the record to %s: %w", m.to, err)
	}
	m.fleet.Declared.Record = m.to
	return changed, done, nil
}

func (m *move) relocate(ctx context.Context) (done record.Relocated, err error) {
	chain, _, err := record.Chain(ctx, m.from, m.fleet.Open, m.fleet.Trust)
	if err != nil {
		return done, err
	}
	folder, err := m.fleet.Open(ctx, m.to)
	if err == nil {
		done, err = record.Relocate(ctx, chain, record.Site{Where: m.to, Folder: folder}, m.fleet.Trust)
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

// change adds the files that say something else once the record is at another place:
// the card that was tried leads to the old one.
func (m *move) change(files map[string][]byte) error {
	config, err := m.fleet.File(fleet.File)
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
	proven, err := card.ReadProven(m.fleet.File)
	if err != nil {
		return err
	}
	recovery := m.fleet.Declared.Recipients.Recovery
	if _, tried := proven[recovery]; tried {
		delete(proven, recovery)
		files[card.ProvenPath], err = proven.Encode()
	}
	return err
}
