package prune

import (
	"context"
	"fmt"
	"slices"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// plan returns what the retention of each target makes of stacks' snapshots. Nothing is
// changed.
func (f *Fleet) plan(ctx context.Context, stacks []string) ([]Pruning, error) {
	if len(stacks) == 0 {
		var err error
		if stacks, err = f.Stacks(); err != nil {
			return nil, err
		}
	}
	var all []Pruning
	for _, stack := range stacks {
		some, err := f.planStack(ctx, stack)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stack, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func (f *Fleet) planStack(ctx context.Context, stack string) ([]Pruning, error) {
	archives, err := f.Of(stack)
	if err != nil {
		return nil, err
	}
	if err := f.Judge(ctx, stack, archives); err != nil {
		return nil, err
	}
	p, placed := f.Lock.Placement(stack)
	var all []Pruning
	for _, t := range f.Declared.Snapshots {
		at := slices.IndexFunc(archives, func(a recording.Archive) bool { return a.Target == t.Name && a.Former == 0 && !a.Apart })
		if at < 0 {
			continue
		}
		one := Pruning{Stack: stack, Target: t.Name, archive: archives[at]}
		if _, declared := f.Declared.Host(p.Host); placed && declared {
			one.Host = p.Host
		}
		if err := f.planRepository(ctx, &one, t.Keep); err != nil {
			return nil, fmt.Errorf("target %s: %w", t.Name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func (f *Fleet) planRepository(ctx context.Context, p *Pruning, keep fleet.Keep) error {
	return f.On(ctx, p.archive, func(repo snapshot.Repository) error {
		exists, err := repository.Exists(ctx, repo.Store)
		if err != nil {
			return err
		}
		if !exists && repo.Trust.Proven.Zero() {
			p.Why = "no snapshot was ever taken there"
			return nil
		}
		p.plan, err = snapshot.PlanPrune(ctx, repo, p.Stack, keep, time.Now())
		if err != nil {
			p.Why = err.Error()
			return nil
		}
		p.Keep, p.Aside = len(p.plan.Keep), len(p.plan.Aside)
		for _, i := range p.plan.Forget {
			p.Forget = append(p.Forget, Snapshot{ID: i.ID, Epoch: i.Epoch, Seq: i.Seq, Taken: i.Time})
		}
		return nil
	})
}
