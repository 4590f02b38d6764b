package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/sign"
)

// movedFile marks a folder in which the record is no longer, or not yet.
const movedFile = "moved.json"

// MovedKind is what the fleet's key signs such a mark as.
const MovedKind sign.Kind = "salvor-moved"

// ErrMoved is wrapped by errors that mean: the record is at another place.
var ErrMoved = errors.New("the record is at another place")

type movedTo struct {
	Schema int            `json:"schema"`
	To     fleet.Location `json:"to"`
	At     time.Time      `json:"at"`
	NotYet bool           `json:"not_yet,omitempty"` // the record is on its way here
}

// Moved returns where the record is instead of here, and whether it is elsewhere. A
// mark that the fleet did not sign for this folder leads nowhere, and neither does one
// of a move that ended here; a signed one that can't be read is an error.
func (r *Record) Moved(ctx context.Context) (to fleet.Location, is bool, err error) {
	m, _, err := r.readMark(ctx)
	if m == nil || m.NotYet {
		return to, false, err
	}
	return m.To, true, err
}

// readMark returns the mark in this folder, nil for none, and what counts for none.
func (r *Record) readMark(ctx context.Context) (m *movedTo, ignored []Ignored, err error) {
	data, err := r.read(ctx, movedFile)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	keys, err := r.trust.keys()
	if err != nil {
		return nil, nil, err
	}
	content, _, err := keys.Open(MovedKind, markPlace(r.where), data)
	if err != nil {
		return nil, []Ignored{{Path: movedFile, Why: err.Error()}}, nil
	}
	m = &movedTo{}
	if err := decode(content, m); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", movedFile, err)
	}
	return m, nil, nil
}

// markPlace is what a mark is signed for: the folder that it is in.
func markPlace(where fleet.Location) string { return where.String() + "/" + movedFile }

// checkNotMoved returns ErrMoved when the record is not here any more. Asked after a write it
// is sure: Relocate marks a folder first and copies what is there then, so that what
// was written before the mark could be seen is copied.
func (r *Record) checkNotMoved(ctx context.Context) error {
	to, is, err := r.Moved(ctx)
	if err == nil && is {
		err = fmt.Errorf("%w: %s:%s", ErrMoved, to.Remote, to.Path)
	}
	return err
}

// A Folder is an opened place on a remote.
type Folder interface {
	blob.Store
	Close(ctx context.Context) error
}

// A Site is one place of the record.
type Site struct {
	Where fleet.Location
	Folder
	Ignored []Ignored // a mark there that does not count
}

// Record is what the fleet remembers there, for a reader who trusts these keys.
func (s Site) Record(t Trust) *Record { return &Record{store: s.Folder, where: s.Where, trust: t} }

// Open opens a place on a remote.
type Open func(ctx context.Context, where fleet.Location) (Folder, error)

// Chain opens where and every place that the fleet's marks lead to from there, in their
// order; in the last one the record is. While the record is on its way to a place that
// is still marked itself, the marks lead back: settled is false then. The first place
// is where the record is by Git, which names it when the move has ended: a mark that it
// is not there yet is an old copy, and does not count.
func Chain(ctx context.Context, where fleet.Location, open Open, trust Trust) (sites []Site, settled bool, err error) {
	defer func() {
		if err != nil {
			closeAll(ctx, sites)
		}
	}()
	for {
		folder, err := open(ctx, where)
		if err != nil {
			return sites, false, err
		}
		site := Site{Where: where, Folder: folder}
		m, ignored, err := site.Record(trust).readMark(ctx)
		if m != nil && m.NotYet && len(sites) == 0 {
			m, ignored = nil, []Ignored{{Path: movedFile, Why: "it marks the record as not here yet, but the record was here before"}}
		}
		site.Ignored = ignored
		sites = append(sites, site)
		if err != nil || m == nil {
			return sites, err == nil, err
		}
		if slices.ContainsFunc(sites, func(s Site) bool { return s.Where == m.To }) {
			return sites, false, nil
		}
		where = m.To
	}
}

// Follow opens the record at where, or where the marks lead from there. While it is
// on its way the error is ErrMoved.
func Follow(ctx context.Context, where fleet.Location, open Open, trust Trust) (Site, error) {
	sites, settled, err := Chain(ctx, where, open, trust)
	if err != nil {
		return Site{}, err
	}
	if !settled {
		closeAll(ctx, sites)
		return Site{}, fmt.Errorf("%w: it is being moved to %s:%s", ErrMoved, sites[len(sites)-1].Where.Remote, sites[len(sites)-1].Where.Path)
	}
	closeAll(ctx, sites[:len(sites)-1])
	return sites[len(sites)-1], nil
}

func closeAll(ctx context.Context, sites []Site) {
	for _, s := range sites {
		_ = s.Close(context.WithoutCancel(ctx)) // only read from
	}
}
