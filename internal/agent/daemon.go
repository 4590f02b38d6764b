package agent

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/loop"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/runlock"
)

const (
	roundEvery  = 15 * time.Second // between two rounds of the daemon's work
	roundJitter = 3 * time.Second  // so that the hosts of a fleet don't ask the remotes all at once
	rereadMost  = 5 * time.Minute  // between tries of a reading back that fails
	owedEvery   = time.Minute      // between tries of a snapshot that a restore owes
)

// Run is the daemon: what was paused continues, the host's stacks are started after
// the ownership check, then its loops run until ctx ends.
func (h *Host) Run(ctx context.Context, sink progress.Sink) error {
	if err := h.keeper().Resume(ctx); err != nil {
		h.base().trouble("resume", err) // tried again in every round
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	loops := &loop.Set{Failed: func(name string, err error) { h.base().trouble(name, err) }}
	watch := newGuard(h.base(), h.Lease.Within)
	defer watch.Close(ctx)
	takers := newTakers(takerTurn)
	loops.Start(ctx, watch.Watch()) // a start may take minutes, and some stacks run already
	err := h.boot(ctx, sink)
	if err != nil {
		stop()
	} else {
		loops.Start(ctx, h.rounds(watch, takers, sink)...)
	}
	loops.Wait()
	takers.wait()
	return err
}

// rounds is what the daemon does again and again once the stacks are started.
func (h *Host) rounds(watch *Guard, takers *takers, sink progress.Sink) []loop.Loop {
	every := func(name string, run func(context.Context) error) loop.Loop {
		return loop.Loop{Name: name, Every: roundEvery, Jitter: roundJitter, Run: run}
	}
	reread := every("reread", func(ctx context.Context) error { return h.keeper().rereadDue(ctx, time.Now()) })
	reread.Most = rereadMost
	finish := every("finish", func(ctx context.Context) error { return h.finishRuns(ctx, sink) })
	finish.Early = watch.Changed // what waited for an answer continues with it
	return []loop.Loop{
		every("snapshots", func(ctx context.Context) error { return h.keeper().takeDue(ctx, watch, takers, sink) }),
		reread,
		every("mounts", func(ctx context.Context) error { return h.arrivals(ctx, sink) }),
		every("resume", h.keeper().Resume),
		finish,
	}
}

// boot starts the stacks that may run here. An apply under way starts them
// itself; boot waits for its end.
func (h *Host) boot(ctx context.Context, sink progress.Sink) error {
	lock, err := h.base().await(ctx, "host", runlock.Holder{Owner: daemon, Message: "starting the stacks after a boot", Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer lock.Release()
	spec, err := h.base().Spec()
	if err != nil {
		h.base().trouble("boot", err) // an apply writes it again, and starts the stacks
		return nil
	}
	if len(spec.Stacks) == 0 {
		return nil
	}
	if _, err := h.base().mount(string(h.Paths.Secrets())); err != nil {
		return err
	}
	r := newRun(h.keeper(), spec, sink)
	defer r.who.Close(ctx)
	verdicts := r.who.Verdicts(ctx, spec)
	h.base().freePorts(ctx)
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
			r.add(r.wake(ctx, r.at(r.spec, st), verdicts[st.Name]))
		})
	}
	all.Wait()
}

// freePorts makes Docker release ports that it still holds after a power cut. Where
// that fails the stacks are started anyway: most need none of those ports, and one
// that does says what to do.
func (h *base) freePorts(ctx context.Context) {
	switch freed, err := h.Stacks.FreePorts(ctx); {
	case err != nil:
		h.trouble("ports", err)
	case freed:
		h.record(journal.Entry{Kind: "ports", Text: "Docker still held ports of no container after a power cut: restarted it"})
	}
}

// wake starts one stack after a boot: as it was deployed where its data is
// ready, else with everything that an apply would do.
func (r *run) wake(ctx context.Context, s *Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "stopped"}
	entry := journal.Entry{Kind: "boot", Stack: s.Name, Commit: r.spec.Commit, Text: string(v.State) + ": " + v.Reason}
	local := r.local(s.Name)
	var err error
	switch {
	case v.State == record.Lost:
		err = r.who.Fence(ctx, s.Name, v.Reason)
	case local.released(s.Epoch):
		entry.Text = "released for a move that may have continued without this host: not started"
	case v.MayStart && !s.Stopped:
		if v.Unfenced {
			entry.Kind = "unfenced-start"
		}
		receipt = r.rouse(ctx, s, v)
	}
	entry.Error = text(err)
	r.record(entry)
	return receipt
}

func (r *run) rouse(ctx context.Context, s *Stack, v record.Verdict) agentapi.StackReceipt {
	deployed, known, err := r.Stacks.Deployed(ctx, s.Name)
	u, left := r.attempt(s.Name), r.runNote(s.Name).What != ""
	if u.under() {
		return r.stack(ctx, s, v)
	}
	if done, receipt := r.finishWish(ctx, s, v, known); done {
		return receipt
	}
	if left {
		return r.finish(ctx, s, func() agentapi.StackReceipt { return r.stack(ctx, s, v) })
	}
	if err == nil && known && u.State == attemptFailed && u.Target == target(s.Stack) && s.allReady() == nil {
		return r.rise(ctx, s) // only an apply tries again
	}
	if err != nil || !known || deployed.Hash != s.Project.Hash || s.allReady() != nil {
		return r.stack(ctx, s, v)
	}
	return r.rise(ctx, s)
}

// rise starts a stack as it was deployed last.
func (r *run) rise(ctx context.Context, s *Stack) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "started"}
	lock, err := r.alone(ctx, s, "start after a boot")
	if err == nil {
		defer lock.Release()
		err = s.externals()
	}
	if err == nil {
		err = r.needs(ctx, s)
	}
	if err == nil {
		err = r.restart(ctx, s)
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.explain(ctx, err)
	}
	return receipt
}

func (r *run) restart(ctx context.Context, s *Stack) error {
	if err := r.mayStart(ctx, s); err != nil {
		return err
	}
	s, err := s.open()
	if err != nil {
		return err
	}
	if err := r.deliver(s); err != nil {
		return err
	}
	if err := r.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	return r.Stacks.Start(ctx, s.Name, r.sink)
}

// takeDue begins the snapshots that are due.
func (k *keeper) takeDue(ctx context.Context, watch *Guard, takers *takers, sink progress.Sink) error {
	spec, err := k.Spec()
	if err != nil {
		return err
	}
	for _, st := range k.due(spec, time.Now()) {
		takers.start(ctx, st.Name, func() {
			if err := k.takeOne(ctx, watch, st.Name, sink); err != nil {
				k.trouble("snapshots", err)
			}
		})
	}
	return nil
}

// takeOne takes a stack's snapshots if they are due still and it may change: that is
// asked when it is the stack's turn.
func (k *keeper) takeOne(ctx context.Context, watch *Guard, stack string, sink progress.Sink) error {
	spec, err := k.Spec()
	if err != nil {
		return err
	}
	due := k.due(spec, time.Now())
	i := slices.IndexFunc(due, func(st agentapi.Stack) bool { return st.Name == stack })
	if i < 0 {
		return nil
	}
	s := k.at(spec, due[i])
	if !watch.Recent(ctx, s).MayChange {
		return nil
	}
	defer debug.FreeOSMemory() // what the packs took
	own := newKeeper(k.base)
	defer own.Close(ctx)
	_, err = own.take(ctx, s, taking{sink: sink})
	return err
}

// due returns the running stacks whose shortest interval has passed. Methods
// that pause are used at most every PauseEvery.
func (k *keeper) due(spec agentapi.Host, now time.Time) []agentapi.Stack {
	var due []agentapi.Stack
	for _, st := range spec.Stacks {
		local := k.local(st.Name)
		if st.Stopped || local.Lost || local.released(st.Epoch) || local.Epoch != st.Epoch || len(k.at(spec, st).protected()) == 0 || k.attempt(st.Name).under() {
			continue
		}
		every := interval(st)
		if k.wishes(st.Name).Owed != "" {
			every = owedEvery
		}
		if every > 0 && now.Sub(k.kept(st.Name).Tried) >= every {
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

// trouble writes what could not be done into the journal.
func (h *base) trouble(kind string, err error) {
	h.record(journal.Entry{Kind: kind, Error: err.Error()})
}
