package agent

import (
	"context"
	"sync"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// wake starts one stack after a boot: as it was deployed where its data is
// ready, else with everything that an apply would do.
func (r *run) wake(ctx context.Context, s *here.Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "stopped"}
	entry := journal.Entry{Kind: "boot", Stack: s.Name, Commit: r.spec.Commit, Text: string(v.State) + ": " + v.Reason}
	local := r.Local(s.Name)
	var err error
	switch {
	case v.State == record.Lost:
		err = r.Guard.Fence(ctx, s.Name, v.Reason)
	case local.ReleasedAt(s.Epoch):
		entry.Text = "released for a move that may have gone on without this host: not started"
	case v.MayStart && !s.Stopped:
		if v.Unfenced {
			entry.Kind = "unfenced-start"
		}
		receipt = r.rouse(ctx, s, v)
	}
	entry.Error = here.ErrorText(err)
	r.Enter(entry)
	return receipt
}

func (r *run) rouse(ctx context.Context, s *here.Stack, v record.Verdict) agentapi.StackReceipt {
	deployed, known, err := r.Stacks.Deployed(ctx, s.Name)
	u, left := r.Attempt(s.Name), r.RunNote(s.Name).What != ""
	if u.Under() {
		return r.stack(ctx, s, v)
	}
	if done, receipt := r.finishWish(ctx, s, v, known); done {
		return receipt
	}
	if left {
		return r.finish(ctx, s, func() agentapi.StackReceipt { return r.stack(ctx, s, v) })
	}
	if err == nil && known && u.State == here.AttemptFailed && u.Target == target(s.Stack) && s.AllReady() == nil {
		return r.rise(ctx, s) // only an apply tries again
	}
	if err != nil || !known || deployed.Hash != s.Project.Hash || s.AllReady() != nil {
		return r.stack(ctx, s, v)
	}
	return r.rise(ctx, s)
}

// rise starts a stack as it was deployed last.
func (r *run) rise(ctx context.Context, s *here.Stack) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "started"}
	lock, err := r.alone(ctx, s, "start after a boot")
	if err == nil {
		defer lock.Release()
		err = s.Externals()
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

func (r *run) restart(ctx context.Context, s *here.Stack) error {
	if err := r.mayStart(ctx, s); err != nil {
		return err
	}
	s, err := s.Open()
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

// StartAll starts what may run here after a boot, or once something is there that it
// waited for, on a host that is prepared.
func (r *run) StartAll(ctx context.Context, verdicts map[string]record.Verdict) {
	for _, st := range r.spec.Stacks {
		r.FreeIn(st.Name, r.Lease.Length()) // whatever a request said before the boot
	}
	r.unasked = true
	r.Prepared()
	var all sync.WaitGroup
	for _, st := range r.spec.Stacks {
		all.Go(func() { r.ended(r.wake(ctx, r.At(r.spec, st), verdicts[st.Name])) })
	}
	all.Wait()
}
