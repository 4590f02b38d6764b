package deploy

import (
	"context"
	"maps"
	"slices"
	"time"

	"salvor/internal/fleet"
)

// rememberedFor is how old what the lock knows of a stack's snapshots may become
// before an apply that changes nothing else makes a commit of it.
const rememberedFor = 24 * time.Hour

// proven is the lock with how far snapshots have come by the record. What the lock
// knows and the record does not stays: the record may have been made to forget it.
func (s *Session) proven(ctx context.Context, lock fleet.Lock) (fleet.Lock, error) {
	if s.Fleet.Record.Remote == "" || len(lock.Stacks) == 0 {
		return lock, nil
	}
	known, err := s.Record.Proven(ctx, lock)
	if err != nil {
		return lock, err
	}
	next := lock.Copy()
	for name, p := range lock.Stacks {
		next.Stacks[name] = remembering(p, known[name], time.Now().UTC())
	}
	return next, nil
}

// remembering is a placement with what was proven in its repositories. What is said
// of others, or of an epoch that it has not reached, counts for nothing.
func remembering(p fleet.Placement, known map[string]fleet.Proven, now time.Time) fleet.Placement {
	marks := maps.Clone(p.Proven)
	maps.DeleteFunc(marks, func(id string, _ fleet.Proven) bool { return !p.Has(id) })
	for id, mark := range known {
		if !p.Has(id) || mark.Epoch > p.Epoch || !mark.Newer(marks[id]) {
			continue
		}
		if marks == nil {
			marks = map[string]fleet.Proven{}
		}
		mark.At = now
		marks[id] = mark
	}
	if p.Proven = marks; len(marks) == 0 {
		p.Proven = nil
	}
	return p
}

// remembers reports whether the lock knows of snapshots in every repository that
// has some, and has learned of newer ones lately. That the record is away is no
// reason for a commit.
func (s *Session) remembers(ctx context.Context) (bool, error) {
	next, err := s.proven(ctx, s.Lock)
	if err != nil {
		return true, nil //nolint:nilerr // the next apply asks again
	}
	for name, p := range next.Stacks {
		was := s.Lock.Stacks[name].Proven
		if slices.ContainsFunc(slices.Collect(maps.Keys(p.Proven)), func(id string) bool {
			return p.Proven[id] != was[id] && time.Since(was[id].At) > rememberedFor
		}) {
			return false, nil
		}
	}
	return true, nil
}
