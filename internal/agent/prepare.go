package agent

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/hostprep"
	"salvor/internal/progress"
)

// Prepare installs what data is restored with, and nothing that touches a stack:
// an apply that comes beside it waits for the package manager.
func (h *Host) Prepare(ctx context.Context, _ agentapi.Prepare, sink progress.Sink) (agentapi.Prepared, error) {
	facts, err := hostprep.Look(ctx, h.Machine)
	if err != nil {
		return agentapi.Prepared{}, err
	}
	early, err := hostprep.Early(facts)
	if err != nil {
		return agentapi.Prepared{}, err
	}
	r := newRun(h, agentapi.Host{}, sink)
	err = r.converge(ctx, "prepare for data", early)
	return agentapi.Prepared{Schema: agentapi.Schema, Changed: r.receipt.Changed}, err
}
