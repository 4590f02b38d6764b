package agent

import (
	"context"

	"salvor/internal/hostprep"
)

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
