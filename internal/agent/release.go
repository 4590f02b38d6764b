package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/progress"
)

// Release stops a stack that moves away and takes its final snapshot. The data stays.
// Without a good snapshot the stack runs on here. It may be called again: a stack
// that did not start here since is already released, and one that never started here
// at that epoch has nothing to hand over, since what the repository has is then the
// newest there is.
func (h *Host) Release(ctx context.Context, req agentapi.Release, sink progress.Sink) (agentapi.SnapshotReceipt, error) {
	lock, err := here.LockAlone(ctx, h.base(), req.Stack, req.Owner, req.Message)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	defer lock.Release()
	local := h.base().Local(req.Stack)
	started, err := h.started(ctx, req.Stack, local)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	if local.Epoch < req.Epoch && !started {
		return agentapi.SnapshotReceipt{Stack: req.Stack, Skipped: true, Why: "it never started here"}, nil
	}
	if again, err := h.releasedBefore(ctx, req.Epoch, req.Stack, local); err != nil || again {
		return agentapi.SnapshotReceipt{Stack: req.Stack, Skipped: true, Why: "released before, and not started since", Snapshot: agentapi.SnapshotInfo{ID: local.Final, Epoch: req.Epoch}}, err
	}
	s, err := h.base().Placed(req.Stack)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	if s.Epoch != req.Epoch {
		return agentapi.SnapshotReceipt{}, fault.WithHint(fmt.Errorf("stack %s runs here at epoch %d, not %d", s.Name, s.Epoch, req.Epoch), "salvor plan")
	}
	var receipt agentapi.SnapshotReceipt
	err = h.base().During(ctx, s.Name, "release", func() error {
		if receipt, err = h.stopWithFinalSnapshot(ctx, s, local, sink); err != nil {
			return err
		}
		hold.At(ctx, "release-taken")
		local.Released, local.Final = s.Epoch, receipt.Snapshot.ID
		h.base().Enter(journal.Entry{Kind: "release", Stack: s.Name, Commit: s.Spec.Commit, Owner: req.Owner, Text: req.Message})
		return errors.Join(h.base().SaveLocal(s.Name, local), here.SharedMountsOf(h.base(), s.Name).End(ctx))
	})
	return receipt, err
}

// started reports whether a stack was started here although no note says so: its
// containers do.
func (h *Host) started(ctx context.Context, name string, local here.Local) (bool, error) {
	if local.Epoch > 0 {
		return false, nil
	}
	seen, err := h.Stacks.Observe(ctx, name)
	if here.NoEngine(err) {
		return false, nil
	}
	return err == nil && slices.ContainsFunc(seen[0].Containers, func(c docker.Container) bool { return c.State != "created" }), err
}

// releasedBefore reports whether a stack was released at that epoch and nothing of it
// ran since.
func (h *Host) releasedBefore(ctx context.Context, epoch int, stack string, local here.Local) (bool, error) {
	if local.Epoch != epoch || !local.ReleasedAt(epoch) {
		return false, nil
	}
	seen, err := h.Stacks.Observe(ctx, stack)
	return err == nil && !seen[0].Running(), err
}

// stopWithFinalSnapshot stops a stack and takes its final snapshot; when there is none, the
// stack runs on, where it is still this host's.
func (h *Host) stopWithFinalSnapshot(ctx context.Context, s *here.Stack, local here.Local, sink progress.Sink) (agentapi.SnapshotReceipt, error) {
	k := h.keeper()
	defer k.Close(ctx)
	end := progress.Scope{Sink: sink, Stack: s.Name}.Step("stop", "")
	err := errors.Join(h.Stacks.CloseGate(ctx, s.Name), h.Stacks.Stop(ctx, s.Name))
	end(err, "")
	stopped := time.Now().UTC()
	hold.At(ctx, "release-stopped")
	if err == nil {
		err = here.SharedMountsOf(h.base(), s.Name).Flush(ctx, sink)
	}
	var receipt agentapi.SnapshotReceipt
	if err == nil {
		receipt, err = k.TakeLocked(ctx, s, keeper.Taking{Stopped: true, Counts: true, Sink: sink})
	}
	receipt.Stopped = stopped
	if err != nil && !local.Lost {
		back := context.WithoutCancel(ctx)
		err = errors.Join(fmt.Errorf("%s stays on %s: %w", s.Name, s.Spec.Name, err), h.Stacks.OpenGate(back, s.Name), h.base().ByHand(s.Name).StartOthers(back, sink))
	}
	return receipt, err
}
