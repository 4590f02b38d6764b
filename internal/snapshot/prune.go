package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/repository"
)

// clockSkew is how far ahead the clock of an honest host may be.
const clockSkew = time.Hour

// A Pruning is what pruning a repository removes and keeps, oldest first.
type Pruning struct {
	Retention
	Aside []Info // stay and push nothing out: unproven ones, and those whose time can't be

	strange []string // ids of the unproven ones: they may be damaged
}

// PlanPrune returns what a policy makes of a repository for an operator, who need not
// rely on the host that wrote to it: only snapshots that are known to be proven count,
// and of these only those whose time fits. Anyone who takes over a host can't push
// good snapshots out with many new ones of other days. It reads and changes nothing
// else.
func PlanPrune(ctx context.Context, r Repository, stack string, k fleet.Keep, now time.Time) (Pruning, error) {
	if r.Trust.Proven.Zero() || r.Trust.Known == nil {
		return Pruning{}, fault.WithHint(fmt.Errorf("no snapshot of %s is removed: the record does not say which of its snapshots are proven", stack), "salvor snapshot take "+stack+" "+
			"writes that into the record")
	}
	l, err := Usable(ctx, r, stack)
	if err != nil {
		return Pruning{}, err
	}
	if lost, missing := r.Trust.Proven.Lost(l, stack, ""); missing {
		return Pruning{}, fault.WithHint(fmt.Errorf("no snapshot of %s is removed: %s", stack, lost.Text), lost.Fix)
	}
	counted, aside := inOrder(l.Infos, now)
	p := Pruning{Retention: Retain(counted, k), Aside: slices.Concat(aside, l.Unproven, l.Future)}
	if _, some := Newest(p.Keep); !some {
		p.Keep, p.Forget = slices.Concat(p.Keep, p.Forget), nil
	}
	slices.SortFunc(p.Aside, Compare)
	for _, i := range slices.Concat(l.Unproven, l.Future) {
		p.strange = append(p.strange, i.ID)
	}
	for _, d := range l.Damaged {
		if !slices.Contains(r.Trust.Known, d.Info.ID) {
			p.strange = append(p.strange, d.Info.ID)
		}
	}
	return p, nil
}

// inOrder parts snapshots whose times follow their numbers from those that say a time in
// the future, or one before that of a snapshot with a lower number: a host can say any.
func inOrder(infos []Info, now time.Time) (counted, aside []Info) {
	var latest time.Time
	for _, i := range slices.SortedFunc(slices.Values(infos), Compare) {
		if i.Time.After(now.Add(clockSkew)) || i.Time.Before(latest.Add(-clockSkew)) {
			aside = append(aside, i)
			continue
		}
		counted = append(counted, i)
		if i.Time.After(latest) {
			latest = i.Time
		}
	}
	return counted, aside
}

// MeasurePrune returns which data Prune would remove, and changes nothing. It reads every
// folder of every snapshot that stays.
func MeasurePrune(ctx context.Context, r Repository, p Pruning) (repository.Swept, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return repository.Swept{}, err
	}
	gone := func(id string) bool { return slices.ContainsFunc(p.Forget, func(i Info) bool { return i.ID == id }) }
	return repo.Measure(ctx, gone, func(id string) bool { return !slices.Contains(p.strange, id) })
}

// Prune removes snapshots, and then the data that no snapshot needs any more. Nothing
// else may work on the repository meanwhile. Interrupted, it may be called again.
func Prune(ctx context.Context, r Repository, p Pruning) (repository.Swept, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return repository.Swept{}, err
	}
	for _, i := range p.Forget {
		if err := r.Store.Delete(ctx, "snapshots/"+i.ID); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return repository.Swept{}, fmt.Errorf("remove snapshot %s: %w", repository.ShortID(i.ID), err)
		}
	}
	return repo.Sweep(ctx, func(id string) bool { return !slices.Contains(p.strange, id) })
}
