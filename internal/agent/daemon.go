package agent

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/runlock"
)

const (
	scheduleEvery = 15 * time.Second // how often the daemon looks for snapshots that are due
	owedEvery     = time.Minute      // between tries of a snapshot that a restore owes
)

// Run is the daemon: what was paused goes on, the host's stacks are started
// after the ownership check, then the watch and the snapshot schedule run until
// ctx ends.
func (h *Host) Run(ctx context.Context, sink progress.Sink) error {
	if err := h.Resume(ctx); err != nil {
		note(h, "resume", err) // tried again in every round
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() { h.watch(ctx) }) // a start may take minutes, and some stacks run already
	err := h.boot(ctx, sink)
	if err != nil {
		stop()
	} else {
		all.Go(func() { h.schedule(ctx, sink) })
		all.Go(func() { h.tend(ctx) })
		all.Go(func() { h.finishing(ctx, sink) })
	}
	all.Wait()
	return err
}

// boot starts the stacks that may run here. An apply under way starts them
// itself; boot waits for its end.
func (h *Host) boot(ctx context.Context, sink progress.Sink) error {
	lock, err := h.await(ctx, "host", runlock.Holder{Owner: daemon, Message: "starting the stacks after a boot", Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer lock.Release()
	spec, err := h.Spec()
	if err != nil {
		note(h, "boot", err) // an apply writes it again, and starts the stacks
		return nil
	}
	if len(spec.Stacks) == 0 {
		return nil
	}
	if _, err := delivery.Mount(h.Paths.secrets()); err != nil {
		return err
	}
	r := newRun(h, spec, sink)
	defer r.who.close(ctx)
	verdicts, err := r.who.verdicts(ctx, spec)
	if err != nil {
		return err
	}
	h.freePorts(ctx)
	h.wakeAll(ctx, r, verdicts)
	return nil
}

// wakeAll starts those of a run's stacks that may run here.
func (h *Host) wakeAll(ctx context.Context, r *run, verdicts map[string]record.Verdict) {
	for _, st := range r.spec.Stacks {
		r.free[st.Name] = time.Now().Add(h.Lease.Length()) // whatever a request said before the boot
	}
	r.unasked = true
	close(r.restic)
	close(r.engine)
	var all sync.WaitGroup
	for _, st := range r.spec.Stacks {
		all.Go(func() {
			defer close(r.settled[st.Name])
			r.add(r.wake(ctx, st, verdicts[st.Name]))
		})
	}
	all.Wait()
}

// freePorts has Docker let go of ports that it kept over a power cut. Where that
// fails the stacks are started all the same: most need none of those ports, and
// one that does says what to do.
func (h *Host) freePorts(ctx context.Context) {
	switch freed, err := h.Stacks.FreePorts(ctx); {
	case err != nil:
		note(h, "ports", err)
	case freed:
		h.record(journal.Entry{Kind: "ports", Text: "Docker still held ports of no container after a power cut: restarted it"})
	}
}

// wake starts one stack after a boot: as it was deployed where its data is
// ready, else with everything that an apply would do.
func (r *run) wake(ctx context.Context, st agentapi.Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: st.Name, Epoch: st.Epoch, Outcome: "stopped"}
	entry := journal.Entry{Kind: "boot", Stack: st.Name, Commit: r.spec.Commit, Text: string(v.State) + ": " + v.Reason}
	local := r.local(st.Name)
	var err error
	switch {
	case v.State == record.Lost:
		err = r.lose(ctx, st.Name, v.Reason)
	case local.released(st.Epoch):
		entry.Text = "released for a move that may have continued without this host: not started"
	case v.MayStart && !st.Stopped:
		if v.Unfenced {
			entry.Kind = "unfenced-start"
		}
		receipt = r.rouse(ctx, st, v)
	}
	entry.Error = text(err)
	r.record(entry)
	return receipt
}

func (r *run) rouse(ctx context.Context, st agentapi.Stack, v record.Verdict) agentapi.StackReceipt {
	deployed, known, err := r.Stacks.Deployed(ctx, st.Name)
	u, left := r.attempt(st.Name), r.runNote(st.Name).What != ""
	if u.under() {
		return r.stack(ctx, st, v)
	}
	if done, receipt := r.finishWish(ctx, st, v, known); done {
		return receipt
	}
	if left {
		return r.finish(ctx, st, func() agentapi.StackReceipt { return r.stack(ctx, st, v) })
	}
	if err == nil && known && u.State == attemptFailed && u.Target == target(st) && r.allReady(r.spec, st) == nil {
		return r.rise(ctx, st) // only an apply tries again
	}
	if err != nil || !known || deployed.Hash != st.Project.Hash || r.allReady(r.spec, st) != nil {
		return r.stack(ctx, st, v)
	}
	return r.rise(ctx, st)
}

// rise starts a stack as it was deployed last.
func (r *run) rise(ctx context.Context, st agentapi.Stack) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: st.Name, Epoch: st.Epoch, Outcome: "started"}
	lock, err := r.alone(ctx, st, "start after a boot")
	if err == nil {
		defer lock.Release()
		err = r.externals(st)
	}
	if err == nil {
		err = r.needs(ctx, st)
	}
	if err == nil {
		err = r.restart(ctx, st)
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.explain(ctx, err)
	}
	return receipt
}

func (r *run) restart(ctx context.Context, st agentapi.Stack) error {
	if err := r.mayStart(ctx, st); err != nil {
		return err
	}
	a, err := r.open(r.spec.Name, st)
	if err != nil {
		return err
	}
	if err := r.deliver(st, a); err != nil {
		return err
	}
	if err := r.Stacks.OpenGate(ctx, st.Name); err != nil {
		return err
	}
	return r.Stacks.Start(ctx, st.Name, r.sink)
}

// schedule takes the snapshots that are due.
func (h *Host) schedule(ctx context.Context, sink progress.Sink) {
	takers := newTakers(takerTurn)
	defer takers.wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(scheduleEvery):
		}
		if err := errors.Join(h.takeDue(ctx, takers, sink), h.rereadDue(ctx, time.Now()), h.arrivals(ctx, sink)); err != nil {
			note(h, "schedule", err)
		}
	}
}

func (h *Host) takeDue(ctx context.Context, takers *takers, sink progress.Sink) error {
	spec, err := h.Spec()
	if err != nil {
		return err
	}
	for _, st := range h.due(spec, time.Now()) {
		takers.start(ctx, st.Name, func() {
			if err := h.takeOne(ctx, st.Name, sink); err != nil {
				note(h, "schedule", err)
			}
		})
	}
	return nil
}

// takeOne takes a stack's snapshots if they are due still and it may change: that is
// asked when it is the stack's turn.
func (h *Host) takeOne(ctx context.Context, stack string, sink progress.Sink) error {
	spec, err := h.Spec()
	if err != nil {
		return err
	}
	due := h.due(spec, time.Now())
	i := slices.IndexFunc(due, func(st agentapi.Stack) bool { return st.Name == stack })
	if i < 0 {
		return nil
	}
	st, ask := due[i], spec
	ask.Stacks = []agentapi.Stack{st}
	verdicts, err := h.verdicts(ctx, ask)
	if err != nil || !verdicts[st.Name].MayChange {
		return err
	}
	defer debug.FreeOSMemory() // what the packs took
	_, err = h.take(ctx, spec, st, taking{sink: sink})
	return err
}

// due returns the running stacks whose shortest interval has passed. Methods
// that pause are used at most every PauseEvery.
func (h *Host) due(spec agentapi.Host, now time.Time) []agentapi.Stack {
	var due []agentapi.Stack
	for _, st := range spec.Stacks {
		local := h.local(st.Name)
		if st.Stopped || local.Lost || local.released(st.Epoch) || local.Epoch != st.Epoch || len(h.protected(st)) == 0 || h.attempt(st.Name).under() {
			continue
		}
		every := interval(st)
		if h.wishes(st.Name).Owed != "" {
			every = owedEvery
		}
		if every > 0 && now.Sub(h.kept(st.Name).Tried) >= every {
			due = append(due, st)
		}
	}
	return due
}

// interval is how often a stack's snapshots are taken, 0 for never.
func interval(st agentapi.Stack) time.Duration {
	var every time.Duration
	for _, t := range st.Targets {
		if every == 0 || t.Every < every {
			every = t.Every
		}
	}
	for _, v := range st.Volumes {
		if v.Protect == fleet.Snapshot && v.Method == fleet.Pause {
			every = max(every, st.PauseEvery)
		}
	}
	return every
}

// note writes what the daemon could not do into the journal.
func note(h *Host, kind string, err error) {
	h.record(journal.Entry{Kind: kind, Error: err.Error()})
}
