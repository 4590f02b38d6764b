package agent

import (
	"context"
	"fmt"

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
	if v := k.who.Verdict(ctx, s); !v.MayChange {
		return agentapi.SnapshotReceipt{}, fmt.Errorf("no snapshot of %s is taken: %s", s.Name, v.Reason)
	}
	if req.Diverged {
		return k.takeDiverged(ctx, s, sink)
	}
	return k.take(ctx, s, taking{accept: req.AcceptShrunk, loss: req.AcceptLoss, force: true, sink: sink})
}
