package prune

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
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
	known, err := f.Recovery(stack)
	if err == nil && len(known.Repositories) == 0 {
		err = fault.WithHint(errors.New("it has no snapshot repository"), "salvor snapshot take "+stack)
	}
	if err != nil {
		return nil, err
	}
	p, placed := f.Lock.Placement(stack)
	if !placed {
		if p.Epoch, err = f.Epoch(ctx, stack); err != nil {
			return nil, err
		}
	}
	proven, err := f.provenOf(ctx, stack, p.Epoch)
	if err != nil {
		return nil, err
	}
	var all []Pruning
	for _, t := range f.Declared.Snapshots {
		id := p.Repositories[t.Name]
		if id == "" {
			id, _ = known.NewestOn(t.Name)
		}
		repo, ok := known.Find(id)
		if !ok {
			continue
		}
		one := Pruning{Stack: stack, Target: t.Name, where: fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack, id)}}
		if _, declared := f.Declared.Host(p.Host); placed && declared {
			one.Host = p.Host
		}
		one.repo = snapshot.Repository{ID: id, Password: repo.Password, Trust: trustOf(p, proven[id], id)}
		if err := f.planRepository(ctx, &one, t.Keep); err != nil {
			return nil, fmt.Errorf("target %s: %w", t.Name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func (f *Fleet) planRepository(ctx context.Context, p *Pruning, keep fleet.Keep) error {
	return f.onRepository(ctx, p, func() error {
		exists, err := repository.Exists(ctx, p.repo.Store)
		if err != nil {
			return err
		}
		if !exists && p.repo.Trust.Proven.Zero() {
			p.Why = "no snapshot was ever taken there"
			return nil
		}
		p.plan, err = snapshot.PlanPrune(ctx, p.repo, p.Stack, keep, time.Now())
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

// onRepository opens a repository's folder for one piece of work.
func (f *Fleet) onRepository(ctx context.Context, p *Pruning, work func() error) error {
	folder, err := f.Open(ctx, p.where)
	if err != nil {
		return err
	}
	p.repo.Store = folder
	return errors.Join(work(), folder.Close(context.WithoutCancel(ctx)))
}

// provenOf returns the newest proven snapshots of a stack by the record.
func (f *Fleet) provenOf(ctx context.Context, stack string, epoch int) (map[string]record.Proven, error) {
	found := map[string]record.Proven{}
	err := f.With(ctx, func(rec *record.Record) error {
		proven, _, err := rec.Proven(ctx, stack, epoch)
		for _, p := range proven {
			found[p.Repository] = p
		}
		return err
	})
	return found, err
}

// trustOf says which of a repository's snapshots may be believed: by the record and the
// lock, whichever knows the newest.
func trustOf(p fleet.Placement, said record.Proven, id string) snapshot.Trust {
	t := snapshot.Trust{Epoch: p.Epoch}
	if said.Snapshot != "" {
		t.Proven, t.Known = snapshot.Mark{Epoch: said.Epoch, Seq: said.Seq, Repository: id, ID: said.Snapshot, At: said.At}, said.Known
	}
	locked := p.Proven[id]
	if mark := (snapshot.Mark{Epoch: locked.Epoch, Seq: locked.Seq, Repository: id, ID: locked.ID, At: locked.At}); locked.Epoch <= p.Epoch && mark.Newer(t.Proven) {
		t.Proven, t.Known = mark, nil
	}
	return t
}
