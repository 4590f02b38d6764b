package agent

import (
	"context"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// StandBy keeps every other operation on some stacks from beginning until ctx ends, so
// that an operator can prune their repositories. What is under way ends first.
func (h *Host) StandBy(ctx context.Context, req agentapi.StandBy, sink progress.Sink) (struct{}, error) {
	for _, stack := range slices.Compact(slices.Sorted(slices.Values(req.Stacks))) {
		lock, err := here.LockAlone(ctx, h.base(), stack, "salvor", "snapshot prune")
		if err != nil {
			return struct{}{}, err
		}
		defer lock.Release()
	}
	sink.Emit(progress.Event{Step: agentapi.VerbStandBy, State: progress.Done})
	<-ctx.Done()
	return struct{}{}, nil
}
