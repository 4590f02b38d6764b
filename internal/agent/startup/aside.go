package startup

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/fleet"
	"salvor/internal/progress"
)

// takeLast takes a last snapshot of a stack that was stopped for its data to be
// replaced. It is small, since one was taken while the stack ran, and holds what
// was written since, so that what is moved aside need not stay. A database would
// have to be copied whole, so its files stay instead.
func (r *Run) snapshotStopped(ctx context.Context, s *here.Stack) {
	for _, v := range s.Protected() {
		if v.Method == fleet.Postgres {
			return
		}
	}
	if _, err := r.TakeLocked(ctx, s, keeper.Taking{Stopped: true, Sink: r.sink}); err != nil {
		progress.Scope{Sink: r.sink, Stack: s.Name}.Note("what is replaced stays beside: " + err.Error())
	}
}
