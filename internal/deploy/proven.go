package deploy

import (
	"context"
	"maps"
	"slices"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// rememberedFor is how old what the lock knows of a stack's snapshots may become
// before an apply that changes nothing else makes a commit of it.
const rememberedFor = 24 * time.Hour

// proven is the lock with how far snapshots have come by the record. What the lock
// knows and the record does not stays: the record may have been made to forget it.
func (s *Session) proven(ctx context.Context, lock fleet.Lock) (fleet.Lock, []finding.Finding, error) {
	if s.Fleet.Record.Remote == "" || len(lock.Stacks) == 0 {
		return lock, nil, nil
	}
	known, ignored, err := s.Record.Proven(ctx, lock)
	if err != nil {
		return lock, ignored, err
	}
	next := lock.Copy()
	for name, p := range lock.Stacks {
		next.Stacks[name] = marked(p, known[name], time.Now().UTC())
	}
	return next, ignored, nil
}

// marked is a placement with what was proven in its repositories. What is said
// of others, or of an epoch that it has not reached, counts for nothing.
func marked(p fleet.Placement, known map[string]fleet.Proven, now time.Time) fleet.Placement {
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

// remembering is the lock with how far snapshots have come, if it differs from the
// committed one anyway, or if that was noted long ago and the run did what it was to.
// A run that a host refused makes no commit for it: somebody else is at work there,
// and has one of their own to push.
func (s *Session) remembering(ctx context.Context, r *Receipt, lock fleet.Lock, done bool) (fleet.Lock, error) {
	next, ignored, err := s.proven(ctx, lock)
	r.Findings = append(r.Findings, ignored...)
	if err != nil {
		return lock, err
	}
	changed, err := lockFile(s.Lock, lock)
	if err != nil || len(changed) > 0 || done && due(lock, next) {
		return next, err
	}
	return lock, nil
}

// due reports whether next knows of newer snapshots in a repository of which was
// knows none, or has learned of none lately.
func due(was, next fleet.Lock) bool {
	for name, p := range next.Stacks {
		old := was.Stacks[name].Proven
		if slices.ContainsFunc(slices.Collect(maps.Keys(p.Proven)), func(id string) bool {
			return p.Proven[id] != old[id] && time.Since(old[id].At) > rememberedFor
		}) {
			return true
		}
	}
	return false
}
