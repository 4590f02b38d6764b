package startup

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/hostprep"
)

// prepareData has the host ready to restore data, and returns its facts.
func (r *Run) prepareData(ctx context.Context) (hostprep.Facts, error) {
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

// PrepareData installs what data is restored with, and returns what changed.
func (r *Run) PrepareData(ctx context.Context) ([]agentapi.Change, error) {
	_, err := r.prepareData(ctx)
	return r.Receipt.Changed, err
}
