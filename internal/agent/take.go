package agent

import (
	"context"
	"fmt"

	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// TakeSnapshot takes a snapshot of a stack on every target, now.
func (h *Host) TakeSnapshot(ctx context.Context, req agentapi.TakeSnapshot, sink progress.Sink) (agentapi.SnapshotReceipt, error) {
	k := h.keeper()
	defer k.Close(ctx)
	s, err := k.Placed(req.Stack)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	if v := k.Guard.Verdict(ctx, s); !v.MayChange {
		return agentapi.SnapshotReceipt{}, fmt.Errorf("no snapshot of %s is taken: %s", s.Name, v.Reason)
	}
	if req.Diverged {
		return k.TakeDiverged(ctx, s, sink)
	}
	return k.Take(ctx, s, keeper.Taking{Accept: req.AcceptShrunk, Loss: req.AcceptLoss, Force: true, Counts: true, Sink: sink})
}
