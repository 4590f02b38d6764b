package startup

import (
	"context"
	"fmt"
	"sync"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/record"
)

// StartAfterBoot starts one stack after a boot: as it was deployed where its data is
// ready, else with everything that an apply would do. One that is lost is fenced; one that
// was released, that is placed otherwise by now, or that v does not let start stays stopped.
func (s *Start) StartAfterBoot(ctx context.Context, v record.Verdict) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "stopped"}
	entry := journal.Entry{Kind: "boot", Stack: s.Name, Commit: s.Run.Spec.Commit, Text: string(v.State) + ": " + v.Reason}
	local := s.Host.Local(s.Name)
	var err error
	switch {
	case v.State == record.Lost:
		err = s.Run.Guard.Fence(ctx, s.Name, v.Reason)
	case local.ReleasedAt(s.Epoch):
		entry.Text = "released for a move that may have continued without this host: not started"
	case v.Epoch > s.Epoch:
		entry.Text = fmt.Sprintf("placed here again at epoch %d, which no apply has delivered yet: its data here may be older; not started", v.Epoch)
	case v.MayStart && !s.Stopped:
		if v.Unfenced {
			entry.Kind = "unfenced-start"
		}
		receipt = s.startByNotes(ctx, v)
	}
	entry.Error = here.ErrorText(err)
	s.Host.Enter(entry)
	return receipt
}

func (s *Start) startByNotes(ctx context.Context, v record.Verdict) agentapi.StackReceipt {
	deployed, known, err := s.Host.Stacks.Deployed(ctx, s.Name)
	u, left := s.Attempt(), s.Host.RunNote(s.Name).What != ""
	if u.InProgress() {
		return s.Deploy(ctx, v)
	}
	if done, receipt := restoreAfterBoot(ctx, s, v, known); done {
		return receipt
	}
	if left {
		return s.finishLeftOver(ctx, func() agentapi.StackReceipt { return s.Deploy(ctx, v) })
	}
	if err == nil && known && u.State == here.AttemptFailed && u.Target == target(s.Stack.Stack) && s.AllReady() == nil {
		return s.startAsDeployed(ctx) // only an apply tries again
	}
	if err != nil || !known || deployed.Hash != s.Project.Hash || s.AllReady() != nil {
		return s.Deploy(ctx, v)
	}
	return s.startAsDeployed(ctx)
}

// startAsDeployed starts a stack as it was deployed last.
func (s *Start) startAsDeployed(ctx context.Context) agentapi.StackReceipt {
	receipt := agentapi.StackReceipt{Name: s.Name, Epoch: s.Epoch, Outcome: "started"}
	lock, err := s.lockForRun(ctx, "start after a boot")
	if err == nil {
		defer lock.Release()
		err = s.CheckPresent(ctx)
	}
	if err == nil {
		err = s.awaitNeeded(ctx)
	}
	if err == nil {
		err = s.startContainers(ctx)
	}
	if err != nil {
		receipt.Outcome, receipt.Error = s.Run.outcomeOf(ctx, err)
	}
	return receipt
}

func (s *Start) startContainers(ctx context.Context) error {
	if err := s.letRun(ctx); err != nil {
		return err
	}
	return s.Host.ByHand(s.Name).StartOthers(ctx, s.Run.sink)
}

// letRun readies what containers of a stack that was deployed here need to start: the
// right to, secrets and the gate.
func (s *Start) letRun(ctx context.Context) error {
	if err := s.awaitOwned(ctx); err != nil {
		return err
	}
	opened, err := s.Open()
	if err != nil {
		return err
	}
	s = s.Run.On(opened)
	if err := s.Mount(ctx); err != nil {
		return err
	}
	if err := s.writeSecrets(ctx); err != nil {
		return err
	}
	s.noteStarted()
	return s.Host.Stacks.OpenGate(ctx, s.Name)
}

// firstEpoch is that of a stack's first placement: no host had it before.
const firstEpoch = 1

// StartAll starts what may run here after a boot, or once something is there that it
// waited for, on a host that is prepared. It returns when each stack is up or has failed;
// the receipt has them all, and a failure keeps no other from starting.
func (r *Run) StartAll(ctx context.Context, verdicts map[string]record.Verdict) {
	for _, st := range r.Spec.Stacks {
		if st.Epoch > firstEpoch {
			r.FreeIn(st.Name, r.Guard.Lease().Length()) // whatever a request said before the boot
		}
	}
	r.unasked = true
	r.Prepared()
	var all sync.WaitGroup
	for _, st := range r.Spec.Stacks {
		all.Go(func() { r.ended(r.On(r.At(r.Spec, st)).StartAfterBoot(ctx, verdicts[st.Name])) })
	}
	all.Wait()
}
