package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/gitread"
	"salvor/internal/hostprep"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/secret/agekey"
	"salvor/internal/snapshot"
)

// ErrMoved means that the host is no longer as it was when the plan was made.
var ErrMoved = errors.New("the host changed since the plan was made")

// downloads is how many stacks fetch their data at once: enough to fill a line,
// few enough that the first is done early.
const downloads = 2

// Apply makes the host what the request says. What can overlap does: while
// packages are installed, data comes down; while it does, images are pulled. A
// stack that fails is part of the receipt and keeps no other from starting.
func (h *Host) Apply(ctx context.Context, req agentapi.Apply, sink progress.Sink) (agentapi.HostReceipt, error) {
	// looked at before the lock's own folder is made, which is part of the plan
	moved := h.moved(ctx, req, sink)
	if err := req.Host.Signers.Check(); err != nil {
		return agentapi.HostReceipt{}, fmt.Errorf("the fleet's signing keys: %w", err)
	}
	lock, err := h.base().lock(ctx, req.Owner, req.Message, sink)
	if err != nil {
		return agentapi.HostReceipt{}, err
	}
	defer lock.Release()
	if moved != nil {
		return agentapi.HostReceipt{}, moved
	}
	applied, _ := h.base().Spec() // one that can't be read has no stack to keep
	req.Host = keepOwn(applied, req.Host)
	r := newRun(h.keeper(), req.Host, sink)
	if err := h.accept(req.Host); err != nil {
		// a full disk keeps no stack from starting; what a boot starts from is older then
		r.warn("", finding.Finding{
			Code: finding.DiskFull, Severity: finding.Warning, Subject: req.Host.Name,
			Text: "the host could not write down what it should run: " + err.Error(), Fix: "make room on " + req.Host.Name + ", then salvor apply",
		})
	}
	defer r.who.Close(ctx)
	for name, wait := range req.Wait {
		r.free[name] = time.Now().Add(wait)
	}
	receipt, err := r.do(ctx)
	h.base().record(journal.Entry{Kind: "apply", Commit: req.Host.Commit, Owner: req.Owner, Text: req.Message, Error: text(err)})
	return receipt, err
}

// accept has the host trust the keys that an operator brings, and notes what it is
// asked to be. All that its stacks need is opened by these keys.
func (h *Host) accept(spec agentapi.Host) error {
	return errors.Join(h.base().pin(spec.Fleet, spec.Signers), h.base().saveSpec(spec))
}

// moved returns ErrMoved when the host is not as the plan saw it.
func (h *Host) moved(ctx context.Context, req agentapi.Apply, sink progress.Sink) error {
	if req.Fingerprint == "" {
		return nil
	}
	now, err := h.Observe(ctx, agentapi.Observe{Host: req.Host}, sink)
	if err == nil && now.Fingerprint != req.Fingerprint {
		err = fault.WithHint(ErrMoved, "salvor plan shows its present state")
	}
	return err
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// run is one apply under way.
type run struct {
	*keeper
	spec agentapi.Host
	sink progress.Sink
	free map[string]time.Time // by stack, when its former host has certainly stopped it

	unasked bool // the daemon's own

	restic  chan struct{} // closed when data can be fetched
	engine  chan struct{} // closed when Docker answers and the networks are there
	slots   *semaphore.Weighted
	room    *snapshot.Room
	turns   *turns
	settled map[string]chan struct{} // by stack, closed when it runs or has failed

	mu      sync.Mutex // guards everything that follows
	receipt agentapi.HostReceipt
	failed  map[string]bool
	broken  error // why the host could not be prepared
}

func newRun(k *keeper, spec agentapi.Host, sink progress.Sink) *run {
	r := &run{
		keeper: k, spec: spec, sink: sink, free: map[string]time.Time{}, restic: make(chan struct{}), engine: make(chan struct{}),
		slots: semaphore.NewWeighted(downloads), room: &snapshot.Room{}, turns: newTurns(), settled: map[string]chan struct{}{}, failed: map[string]bool{},
		receipt: agentapi.HostReceipt{Schema: agentapi.Schema, Host: spec.Name, Commit: spec.Commit},
	}
	for _, st := range spec.Stacks {
		r.settled[st.Name] = make(chan struct{})
	}
	return r
}

func (r *run) do(ctx context.Context) (agentapi.HostReceipt, error) {
	if err := r.dropOthers(ctx); err != nil {
		return r.receipt, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts := r.who.Verdicts(ctx, r.spec)
	var all sync.WaitGroup
	all.Go(func() {
		if err := r.prepare(ctx); err != nil {
			r.mu.Lock()
			r.broken = err
			r.mu.Unlock()
			cancel()
		}
	})
	for _, st := range r.spec.Stacks {
		all.Go(func() {
			defer close(r.settled[st.Name])
			r.add(r.stack(ctx, r.at(r.spec, st), verdicts[st.Name]))
		})
	}
	all.Wait()
	slices.SortFunc(r.receipt.Stacks, func(a, b agentapi.StackReceipt) int {
		return slices.Index(r.order(), a.Name) - slices.Index(r.order(), b.Name)
	})
	return r.receipt, r.broken
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
	r.failed[s.Name] = s.Error != nil
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
	close(r.restic)
	all, err := hostprep.Resources(facts, preparationOf(r.spec))
	if err != nil {
		return err
	}
	if err := r.converge(ctx, "prepare the host", all); err != nil {
		return err
	}
	if _, err := r.mount(string(r.Paths.Secrets())); err != nil {
		return err
	}
	r.freePorts(ctx)
	if err := r.Stacks.EnsureNetworks(ctx, r.spec.Networks); err != nil {
		return err
	}
	close(r.engine)
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
	known, err := r.known()
	if err != nil {
		return err
	}
	for _, name := range known {
		if _, wanted := r.settled[name]; wanted {
			continue
		}
		if err := r.who.Fence(ctx, name, "no longer placed here"); err != nil {
			return err
		}
		r.add(agentapi.StackReceipt{Name: name, Outcome: "stopped"})
	}
	return nil
}

// Enrol makes the host's identity, its signing key and its key for Git, once, and returns their
// public halves. The host trusts the fleet's signing keys from now on.
func (h *Host) Enrol(ctx context.Context, req agentapi.Enrol, _ progress.Sink) (agentapi.Enrolment, error) {
	if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
		return agentapi.Enrolment{}, err
	}
	if err := h.base().pin(req.Fleet, req.Signers); err != nil {
		return agentapi.Enrolment{}, err
	}
	recipient, err := agekey.EnsureHost(h.Paths.Identity())
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	signer, err := h.base().ensureSigning(req.Host)
	if err != nil {
		return agentapi.Enrolment{}, err
	}
	key, err := gitread.EnsureKey(h.Paths.GitKey())
	return agentapi.Enrolment{Recipient: recipient, Signer: signer, GitKey: key}, err
}

func factOf(spec agentapi.Host, st agentapi.Stack, images map[string]string, born map[string]time.Time, wish string) record.Fact {
	return record.Fact{Epoch: st.Epoch, Host: spec.Name, Commit: spec.Commit, At: time.Now().UTC(), Images: images, Born: born, Wish: wish}
}
