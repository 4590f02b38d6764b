package app

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/needs"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/seal"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// Pruner removes snapshots with the operator's own credentials.
type Pruner struct {
	checkout *checkout.Checkout
	needs    *needs.Needs
	keys     *fleetkeys.Keys
	record   *recording.Recorder
}

// NewPruner returns one for a checkout's fleet.
func NewPruner(c *checkout.Checkout, n *needs.Needs, k *fleetkeys.Keys, r *recording.Recorder) *Pruner {
	return &Pruner{checkout: c, needs: n, keys: k, record: r}
}

// A Pruning is what pruning removes from one stack's repository on one target.
type Pruning struct {
	Stack  string           `json:"stack"`
	Target string           `json:"target"`
	Forget []PrunedSnapshot `json:"forget"`
	Keep   int              `json:"keep"`
	Aside  int              `json:"aside,omitempty"` // stay and do not count: unproven, or of a time that can't be
	Why    string           `json:"why,omitempty"`   // nothing is removed
	Packs  int              `json:"packs"`           // removed
	Bytes  int64            `json:"bytes"`           // removed
	Lost   int              `json:"lost,omitempty"`  // packs that the remote does not have any more: the next snapshot uploads them again
	Host   string           `json:"host,omitempty"`  // that takes the stack's snapshots

	Done bool `json:"done"` // the snapshots of Forget are gone

	where fleet.Location
	repo  snapshot.Repository
	plan  snapshot.Pruning
}

// A PrunedSnapshot is one that is removed.
type PrunedSnapshot struct {
	ID    string    `json:"id"`
	Epoch int       `json:"epoch"`
	Seq   int       `json:"seq"`
	Taken time.Time `json:"taken"`
}

// PlanPrune returns what the retention of each target makes of stacks' snapshots, with
// the operator's own credentials; without a stack, of all that ever had a repository.
// Nothing is changed.
func (a *Pruner) PlanPrune(ctx context.Context, stacks ...string) ([]Pruning, error) {
	if len(stacks) == 0 {
		err := a.needs.EachRecovery(func(stack string, _ seal.Signed) error {
			stacks = append(stacks, stack)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var all []Pruning
	for _, stack := range stacks {
		some, err := a.planStack(ctx, stack)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stack, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

func (a *Pruner) planStack(ctx context.Context, stack string) ([]Pruning, error) {
	sealed, err := a.needs.Signed(seal.RecoveryPath(stack))
	if err == nil && sealed.File == nil {
		err = fault.WithHint(errors.New("it has no snapshot repository"), "salvor snapshot take "+stack)
	}
	if err != nil {
		return nil, err
	}
	known, err := a.keys.OpenRecovery(ctx, stack, sealed)
	if err != nil {
		return nil, err
	}
	p, placed := a.checkout.Lock.Placement(stack)
	if !placed {
		if p.Epoch, err = a.record.Epoch(ctx, stack); err != nil {
			return nil, err
		}
	}
	proven, err := a.provenOf(ctx, stack, p.Epoch)
	if err != nil {
		return nil, err
	}
	var all []Pruning
	for _, t := range a.checkout.Fleet.Snapshots {
		id := p.Repositories[t.Name]
		if id == "" {
			id, _ = known.NewestOn(t.Name)
		}
		repo, ok := known.Find(id)
		if !ok {
			continue
		}
		one := Pruning{Stack: stack, Target: t.Name, where: fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack, id)}}
		if _, declared := a.checkout.Fleet.Host(p.Host); placed && declared {
			one.Host = p.Host
		}
		one.repo = snapshot.Repository{ID: id, Password: repo.Password, Trust: trustOf(p, proven[id], id)}
		if err := a.planRepository(ctx, &one, t.Keep); err != nil {
			return nil, fmt.Errorf("target %s: %w", t.Name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

func (a *Pruner) planRepository(ctx context.Context, p *Pruning, keep fleet.Keep) error {
	return a.onRepository(ctx, p, func() error {
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
			p.Forget = append(p.Forget, PrunedSnapshot{ID: i.ID, Epoch: i.Epoch, Seq: i.Seq, Taken: i.Time})
		}
		return nil
	})
}

// onRepository opens a repository's folder for one piece of work.
func (a *Pruner) onRepository(ctx context.Context, p *Pruning, work func() error) error {
	folder, err := a.record.Open(ctx, p.where)
	if err != nil {
		return err
	}
	p.repo.Store = folder
	return errors.Join(work(), folder.Close(context.WithoutCancel(ctx)))
}

// StandBy has a host leave stacks alone until release, see deploy.Session.
type StandBy func(ctx context.Context, host string, stacks []string) (held context.Context, release func(), err error)

// Prune removes what PlanPrune returned, and the data that no snapshot needs any more.
// The host that takes a stack's snapshots is asked to leave them alone meanwhile;
// nothing is removed of the stacks of one that does not answer.
func (a *Pruner) Prune(ctx context.Context, planned []Pruning, standBy StandBy) error {
	var errs []error
	for i := range planned {
		if p := &planned[i]; p.Why == "" {
			if err := a.pruneOne(ctx, p, standBy); err != nil {
				errs = append(errs, fmt.Errorf("%s on %s: %w", p.Stack, p.Target, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (a *Pruner) pruneOne(ctx context.Context, p *Pruning, standBy StandBy) error {
	if p.Host != "" {
		held, release, err := standBy(ctx, p.Host, []string{p.Stack})
		if err != nil {
			p.Why = "its host does not answer"
			return fault.WithHint(fmt.Errorf("nothing is removed while its host could take a snapshot: %w", err), "salvor status; when "+p.Host+" "+
				"is lost permanently: salvor recover "+p.Host+" --to HOST")
		}
		defer release()
		ctx = held
	}
	return a.onRepository(ctx, p, func() error {
		swept, err := snapshot.Prune(ctx, p.repo, p.plan)
		p.Packs, p.Bytes, p.Lost = swept.Packs, swept.Bytes, swept.Lost
		if cause := context.Cause(ctx); err != nil && cause != nil {
			return cause
		}
		if err != nil {
			return err
		}
		p.Done = true
		return a.dropProven(ctx, p.Stack, p.repo.Trust.Epoch)
	})
}

// provenOf returns the newest proven snapshots of a stack by the record.
func (a *Pruner) provenOf(ctx context.Context, stack string, epoch int) (map[string]record.Proven, error) {
	found := map[string]record.Proven{}
	err := a.record.With(ctx, func(rec *record.Record) error {
		proven, _, err := rec.Proven(ctx, stack, epoch)
		for _, p := range proven {
			found[p.Repository] = p
		}
		return err
	})
	return found, err
}

// dropProven removes the notes about older snapshots that hosts may not remove.
func (a *Pruner) dropProven(ctx context.Context, stack string, epoch int) error {
	return a.record.With(ctx, func(rec *record.Record) error { return rec.DropProven(ctx, stack, epoch) })
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
