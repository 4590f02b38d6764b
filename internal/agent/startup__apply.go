package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/hostprep"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// downloads is how many stacks fetch their data at once: enough to fill a line,
// few enough that the first is done early.
const downloads = 2

// run is one apply under way.
type run struct {
	*keeper.Keeper
	spec agentapi.Host
	sink progress.Sink
	free map[string]time.Time // by stack, when its former host has certainly stopped it

	unasked bool // the daemon's own

	Prerequisites
	downloads *semaphore.Weighted
	room      *snapshot.Room
	turns     *turns

	mu      sync.Mutex // guards what follows
	receipt agentapi.HostReceipt
}

func newRun(k *keeper.Keeper, spec agentapi.Host, sink progress.Sink) *run {
	return &run{
		Keeper: k, spec: spec, sink: sink, free: map[string]time.Time{},
		downloads: semaphore.NewWeighted(downloads), room: &snapshot.Room{}, turns: newTurns(),
		receipt: agentapi.HostReceipt{Schema: agentapi.Schema, Host: spec.Name, Commit: spec.Commit},
	}
}

// FreeIn says how long it takes until the former host of a stack has certainly stopped
// it. Before that it does not start here.
func (r *run) FreeIn(stack string, wait time.Duration) { r.free[stack] = time.Now().Add(wait) }

// Prepared says that the host is prepared already.
func (r *run) Prepared() {
	for _, name := range []string{needData, needEngine, needHost} {
		r.Meet(name, nil)
	}
}

// Apply makes the host and its stacks what they are asked to be. What can overlap
// does: while packages are installed, data comes down; while it does, images are
// pulled. A stack that fails is part of the receipt and keeps no other from starting.
func (r *run) Apply(ctx context.Context) (agentapi.HostReceipt, error) {
	if err := r.dropOthers(ctx); err != nil {
		return r.receipt, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts := r.Guard.Verdicts(ctx, r.spec)
	var all sync.WaitGroup
	all.Go(func() {
		err := r.prepare(ctx)
		r.Meet(needHost, err)
		if err != nil {
			cancel()
		}
	})
	for _, st := range r.spec.Stacks {
		all.Go(func() { r.ended(r.stack(ctx, r.At(r.spec, st), verdicts[st.Name])) })
	}
	all.Wait()
	slices.SortFunc(r.receipt.Stacks, func(a, b agentapi.StackReceipt) int {
		return slices.Index(r.order(), a.Name) - slices.Index(r.order(), b.Name)
	})
	return r.receipt, r.Failure(needHost)
}

func (r *run) order() []string {
	var names []string
	for _, st := range r.spec.Stacks {
		names = append(names, st.Name)
	}
	return names
}

func (r *run) add(s agentapi.StackReceipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipt.Stacks = append(r.receipt.Stacks, s)
}

// ended adds the receipt of a stack that others may wait for.
func (r *run) ended(s agentapi.StackReceipt) {
	r.add(s)
	var failed error
	if s.Error != nil {
		failed = fmt.Errorf("stack %s %w", s.Name, errUnmet)
	}
	r.Meet(needStack(s.Name), failed)
}

// phase times one part of the work.
func (r *run) phase(name, stack string, work func() error) error {
	began := time.Now().UTC()
	err := work()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipt.Phases = append(r.receipt.Phases, agentapi.Phase{Name: name, Stack: stack, Began: began, Ended: time.Now().UTC()})
	return err
}

// prepare converges the host. restic comes before everything else that takes
// long, so that data is on its way while Docker is installed.
func (r *run) prepare(ctx context.Context) error {
	facts, err := r.prepareData(ctx)
	if err != nil {
		return err
	}
	r.Meet(needData, nil)
	all, err := hostprep.Resources(facts, preparationOf(r.spec))
	if err != nil {
		return err
	}
	if err := r.converge(ctx, "prepare the host", all); err != nil {
		return err
	}
	if _, err := r.Mount(string(r.Paths.Secrets())); err != nil {
		return err
	}
	r.FreePorts(ctx)
	if err := r.Stacks.EnsureNetworks(ctx, r.spec.Networks); err != nil {
		return err
	}
	r.Meet(needEngine, nil)
	return nil
}

func (r *run) converge(ctx context.Context, name string, resources []converge.Resource) error {
	return r.phase(name, "", func() error {
		plan, err := converge.NewPlan(ctx, r.Machine, resources)
		if err != nil || plan.Empty() {
			return err
		}
		outcomes, err := plan.Apply(ctx, progress.Scope{Sink: r.sink})
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, o := range outcomes {
			if o.State == progress.Done {
				r.receipt.Changed = append(r.receipt.Changed, agentapi.Change{ID: o.Change.ID, Action: string(o.Change.Action), Cause: o.Change.Cause})
			}
		}
		return err
	})
}

// dropOthers stops stacks that are no longer placed here. Their data stays.
func (r *run) dropOthers(ctx context.Context) error {
	known, err := r.Known()
	if err != nil {
		return err
	}
	for _, name := range known {
		if slices.Contains(r.order(), name) {
			continue
		}
		if err := r.Guard.Fence(ctx, name, "no longer placed here"); err != nil {
			return err
		}
		r.add(agentapi.StackReceipt{Name: name, Outcome: "stopped"})
	}
	return nil
}

func factOf(s *here.Stack, images map[string]string, born map[string]time.Time, wish string) record.Fact {
	return record.Fact{Epoch: s.Epoch, Host: s.Spec.Name, Commit: s.Spec.Commit, At: time.Now().UTC(), Images: images, Born: born, Wish: wish}
}
