package agent

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/hostprep"
	"salvor/internal/progress"
)

// Prepare installs what data is restored with, and nothing that touches a stack: an
// apply that runs at the same time waits for the package manager.
func (h *Host) Prepare(ctx context.Context, _ agentapi.Prepare, sink progress.Sink) (agentapi.Prepared, error) {
	r := newRun(h.keeper(), agentapi.Host{}, sink)
	_, err := r.prepareData(ctx)
	return agentapi.Prepared{Schema: agentapi.Schema, Changed: r.receipt.Changed}, err
}

// prepareData has the host ready to restore data, and returns its facts.
func (r *run) prepareData(ctx context.Context) (hostprep.Facts, error) {
	facts, err := hostprep.Look(ctx, r.Machine)
	if err != nil {
		return facts, err
	}
	early, err := hostprep.Early(facts)
	if err != nil {
		return facts, err
	}
	return facts, r.converge(ctx, "prepare for data", early)
}
