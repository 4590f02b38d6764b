package startup

import (
	"context"
	"sync"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// StartAfterBoot starts one stack after a boot: as it was deployed where its data is
// ready, else with everything that an apply would do.
func (r *Run) StartAfterBoot(ctx context.Context, s *here.Stack, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "stopped"}
	entry := journal.Entry{Kind: "boot", Stack: s.Name, Commit: r.Spec.Commit, Text: string(v.State) + ": " + v.Reason}
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
		receipt = r.startByNotes(ctx, s, v)
	}
	entry.Error = here.ErrorText(err)
	r.Enter(entry)
	return receipt
}

func (r *Run) startByNotes(ctx context.Context, s *here.Stack, v record.Verdict) agentapi.StackReceipt {
	deployed, known, err := r.Stacks.Deployed(ctx, s.Name)
	u, left := r.Attempt(s.Name), r.RunNote(s.Name).What != ""
	if u.Under() {
		return r.Deploy(ctx, s, v)
	}
	if done, receipt := r.restoreAfterBoot(ctx, s, v, known); done {
		return receipt
	}
	if left {
		return r.finishLeftOver(ctx, s, func() agentapi.StackReceipt { return r.Deploy(ctx, s, v) })
	}
	if err == nil && known && u.State == here.AttemptFailed && u.Target == target(s.Stack) && s.AllReady() == nil {
		return r.startAsDeployed(ctx, s) // only an apply tries again
	}
	if err != nil || !known || deployed.Hash != s.Project.Hash || s.AllReady() != nil {
		return r.Deploy(ctx, s, v)
	}
	return r.startAsDeployed(ctx, s)
}

// startAsDeployed starts a stack as it was deployed last.
func (r *Run) startAsDeployed(ctx context.Context, s *here.Stack) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "started"}
	lock, err := r.lockForRun(ctx, s, "start after a boot")
	if err == nil {
		defer lock.Release()
		err = s.Externals()
	}
	if err == nil {
		err = r.awaitNeeded(ctx, s)
	}
	if err == nil {
		err = r.startContainers(ctx, s)
	}
	if err != nil {
		receipt.Outcome, receipt.Error = r.outcomeOf(ctx, err)
	}
	return receipt
}

func (r *Run) startContainers(ctx context.Context, s *here.Stack) error {
	if err := r.checkStillOwned(ctx, s); err != nil {
		return err
	}
	s, err := s.Open()
	if err != nil {
		return err
	}
	if err := r.writeSecrets(s); err != nil {
		return err
	}
	if err := r.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	return r.Stacks.Start(ctx, s.Name, r.sink)
}

// StartAll starts what may run here after a boot, or once something is there that it
// waited for, on a host that is prepared.
func (r *Run) StartAll(ctx context.Context, verdicts map[string]record.Verdict) {
	for _, st := range r.Spec.Stacks {
		r.FreeIn(st.Name, r.Lease.Length()) // whatever a request said before the boot
	}
	r.unasked = true
	r.Prepared()
	var all sync.WaitGroup
	for _, st := range r.Spec.Stacks {
		all.Go(func() { r.ended(r.StartAfterBoot(ctx, r.At(r.Spec, st), verdicts[st.Name])) })
	}
	all.Wait()
}
