package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// Options say what one run is about.
type Options struct {
	Kind    Kind // names the run: in its receipt, its commit, and to anyone who waits for its locks
	Moves   []placement.Move
	Extra   map[string][]byte // files that belong into the placement's commit (fleet.yaml, hosts/…)
	Message string            // of the commit, where there is more to say than which stacks move
	Asked   []string          // the stacks that the command is about; nil for all

	// Lost is the host that is gone: it releases nothing, and the newest snapshots are
	// what there is.
	Lost string
	// Replaced says that the lost host's name continues, on another machine.
	Replaced bool
	// GitMayBeAway makes the run continue while the Git host does not answer: the
	// claims fence the host before, and the push is left to do.
	GitMayBeAway bool

	// Unplanned says that the hosts' changes were not planned: each first says which machine it is,
	// and applies what it finds to be done, if anything, compared with nothing.
	Unplanned bool
	// Accept shows the plan of one host, which changed since the first plan was made
	// and has more to do now, and asks; nil refuses it. One host is asked about at a
	// time.
	Accept func(Plan) error
}

// A Kind names a run. Nothing depends on which one it is.
type Kind string

// The kinds of runs.
const (
	KindApply      Kind = "apply"
	KindMove       Kind = "move"
	KindRecover    Kind = "recover"
	KindRollback   Kind = "rollback"
	KindRotate     Kind = "rotate"
	KindRecordMove Kind = "record move"
	KindUp         Kind = "up"
	KindDown       Kind = "down"
	KindRestore    Kind = "restore"
	KindWithdraw   Kind = "withdraw restore"
	KindRelease    Kind = "host release"
)

// A Run makes a plan true, step by step: each of its methods is one step, which the ones
// above it come before. A step that was done already does nothing, so a run interrupted
// is finished by running it again. A step that fails ends the run.
type Run struct {
	*Session
	Options
	Plan    Plan
	Next    fleet.Lock // what the lock will be
	receipt Receipt

	due       takeover          // by TakeOver
	files     map[string][]byte // of the placements' commit, by Seal
	forgotten bool              // the lost host's address in the tailnet means nothing any more

	free map[string]time.Time // by stack, when a host that could not be asked to stop has stopped it, by Fence
}

// Begin begins a run, and does nothing yet.
func (s *Session) Begin(plan Plan, next fleet.Lock, o Options) *Run {
	return &Run{Session: s, Options: o, Plan: plan, Next: placement.Owns(s.Fleet, next), files: map[string][]byte{},
		receipt: Receipt{Schema: fleet.Schema, Kind: o.Kind, Fleet: s.Fleet.Name, Began: time.Now().UTC(), Asked: o.Asked}}
}

// Apply makes plan true: it makes the old hosts of moving stacks release them, has hosts
// compare what is taken over, commits and claims the placements of next, lets each host apply its part, and folds
// the hosts' reports into the lock. It may be run again at any point.
//
// The receipt is returned with an error too: it says how far things got.
func (s *Session) Apply(ctx context.Context, plan Plan, next fleet.Lock, o Options) (Receipt, error) {
	r := s.Begin(plan, next, o)
	err := r.apply(ctx)
	receipt := r.End()
	if ctx.Err() == nil { // a run that was interrupted is finished first
		receipt.Pending = append(receipt.Pending, receipt.waysBack(o.Moves)...)
	}
	return receipt, err
}

func (r *Run) apply(ctx context.Context) error {
	compare := func(ctx context.Context) error { return compareAdopted(ctx, r) }
	for _, step := range []func(context.Context) error{r.Confirm, r.TakeOver, r.Install, r.Seal, compare, r.Place, r.ApplyHosts} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// End returns the receipt of what was done so far.
func (r *Run) End() Receipt {
	r.receipt.Commit, r.receipt.Ended, r.receipt.Placed = r.Commit, time.Now().UTC(), map[string]string{}
	for name, p := range r.Lock.Stacks {
		r.receipt.Placed[name] = p.Host
	}
	return r.receipt
}

// Leave adds what a human must still do to the receipt.
func (r *Run) Leave(pending ...string) { r.receipt.Pending = append(r.receipt.Pending, pending...) }

// Confirm makes sure that the operator confirmed what the commit lets others do, and
// that hosts which nothing was planned for are the machines that Git has.
func (r *Run) Confirm(ctx context.Context) error {
	if r.Granted != nil {
		if err := r.Granted(ctx, r.Next); err != nil {
			return err
		}
	}
	return r.identify(ctx)
}

// Install puts this version's salvord on the hosts that lack it or have an older one.
func (r *Run) Install(ctx context.Context) error {
	lacks := func(hp HostPlan) bool { return hp.New || hp.Updates }
	if !slices.ContainsFunc(r.Plan.Hosts, lacks) {
		return nil
	}
	return r.phase(ctx, "prepare hosts", func() error {
		return r.each(func(h fleet.Host, hp HostPlan) error {
			if !lacks(hp) {
				return nil
			}
			link, err := r.dial(ctx, h)
			if err != nil {
				return err
			}
			return link.Install(ctx)
		})
	})
}

// PrepareForData has the hosts that take over install what data is restored with, next to
// the seals, the commit and the claims: nothing in it belongs to a stack. wait ends when
// they have, and notes the phase. What fails is tried again, and reported, by ApplyHosts.
func (r *Run) PrepareForData(ctx context.Context) (wait func()) {
	done := make(chan agentapi.Phase, 1)
	go func() {
		began := time.Now().UTC()
		_ = r.each(func(h fleet.Host, _ HostPlan) error {
			link, err := r.dial(ctx, h)
			if err != nil {
				return err
			}
			return link.Call(ctx, agentapi.VerbPrepare, agentapi.Prepare{}, &agentapi.Prepared{})
		})
		done <- agentapi.Phase{Name: "prepare to restore", Began: began, Ended: time.Now().UTC()}
	}()
	return func() { r.receipt.Phases = append(r.receipt.Phases, <-done) }
}

// ApplyHosts has every host apply its part, commits what the hosts learned and renews
// the mirror. What hosts learned in a run that is interrupted is committed by the run
// that continues.
func (r *Run) ApplyHosts(ctx context.Context) error {
	forget(ctx, r)
	applied := r.phase(ctx, "apply", func() error { return r.applyHosts(ctx) })
	if ctx.Err() != nil {
		return applied
	}
	folded := r.fold(ctx, applied)
	r.mirror(ctx)
	return errors.Join(applied, folded)
}

// applyHosts has every host apply its part. Hosts that were interrupted may answer
// with a receipt; the run is not done anyway.
func (r *Run) applyHosts(ctx context.Context) error {
	var mu sync.Mutex
	err := r.each(func(h fleet.Host, hp HostPlan) error {
		receipt, err := r.applyHost(ctx, h, hp)
		mu.Lock()
		defer mu.Unlock()
		if receipt.Host != "" {
			r.receipt.Hosts = append(r.receipt.Hosts, receipt)
			r.Leave(unpublished(receipt)...)
		}
		return err
	})
	return errors.Join(err, ctx.Err())
}

func (r *Run) applyHost(ctx context.Context, h fleet.Host, hp HostPlan) (agentapi.HostReceipt, error) {
	var receipt agentapi.HostReceipt
	if !hp.New && len(hp.Changes) == 0 && !r.Unplanned {
		return receipt, nil
	}
	spec, err := r.spec(h, r.Lock, r.Commit)
	if err != nil {
		return receipt, err
	}
	link, err := r.dial(ctx, h)
	if err != nil {
		return receipt, err
	}
	err = around(ctx, r, h, func() (err error) {
		in, locked := wayIn(ctx, r, link, h, spec)
		receipt, err = applyTo(ctx, r, link, h, hp, spec)
		if receipt.Host != "" {
			receipt.Changed = append(in, receipt.Changed...)
		}
		return errors.Join(locked, err)
	})
	return receipt, err
}

// applyTo has a host apply its part, once its way in is as it should be.
func applyTo(ctx context.Context, r *Run, link *hostlink.Link, h fleet.Host, hp HostPlan, spec agentapi.Host) (receipt agentapi.HostReceipt, err error) {
	req := agentapi.Apply{Host: spec, Owner: r.Owner, Message: fmt.Sprintf("%s %.7s", r.Kind, r.Commit), Wait: r.waits(spec.Stacks)}
	if !r.Unplanned {
		req.Opens = hp.opens()
	}
	if req.Join, err = admit(ctx, r, link, hp, spec); err != nil {
		return receipt, err
	}
	// a host that was updated may see more to do than it did when it was planned
	if !hp.New && !r.Unplanned && (!hp.Updates || r.Accept != nil) {
		return r.applyPlanned(ctx, link, h, hp, req)
	}
	err = r.call(ctx, link, agentapi.VerbApply, req, &receipt)
	return receipt, err
}

// each runs work for every host of the plan that can be reached, at once.
func (r *Run) each(work func(fleet.Host, HostPlan) error) error {
	var g group
	for _, hp := range r.Plan.Hosts {
		h, declared := r.Fleet.Host(hp.Host)
		if !declared || hp.Unreachable != "" {
			continue
		}
		g.Go(func() error { return work(h, hp) })
	}
	return g.Wait()
}

// ErrInterrupted means that the context of a run ended in the midst of it.
var ErrInterrupted = errors.New("interrupted")

// phase runs one part of the work, reports it and records its times. What goes
// wrong in it because the context ends is ErrInterrupted, whatever the programs say
// that were ended with it.
func (r *Run) phase(ctx context.Context, name string, work func() error) error {
	end := progress.Scope{Sink: r.Sink, Host: r.Fleet.Name}.Step(name, "")
	began := time.Now().UTC()
	err := work()
	if err != nil && ctx.Err() != nil {
		err = fault.WithHint(ErrInterrupted, "run the same command again to continue")
	}
	r.receipt.Phases = append(r.receipt.Phases, agentapi.Phase{Name: name, Began: began, Ended: time.Now().UTC()})
	end(err, "")
	return err
}
