package deploy

import (
	"context"
	"maps"
	"slices"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
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
	for name := range lock.Stacks {
		lock = placement.Prove(lock, name, known[name], time.Now().UTC())
	}
	return lock, ignored, nil
}

// remembering is the lock with how far snapshots have come, if it differs from the
// committed one anyway, or if that was noted long ago and the run did what it was to.
// A run that a host refused makes no commit for it: another run is at work there, and
// has its own commit to push.
func (r *Run) remembering(ctx context.Context, lock fleet.Lock, done bool) (fleet.Lock, error) {
	next, ignored, err := r.proven(ctx, lock)
	r.receipt.Findings = append(r.receipt.Findings, ignored...)
	if err != nil {
		return lock, err
	}
	changed, err := lockFile(r.Lock, lock)
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
