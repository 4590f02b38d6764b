package deploy

import (
	"context"
	"fmt"

	"salvor/internal/fleet"
	"salvor/internal/progress"
)

// Around runs what an operator has around each host's part of an apply.
type Around interface {
	Before(ctx context.Context, host string, sink progress.Sink) error
	After(ctx context.Context, host string, sink progress.Sink) error
}

// around does a host's part of a run. What fails before it keeps that host as it is, and no
// other. A run of another kind than an apply must not depend on what is around it.
func around(ctx context.Context, r *Run, h fleet.Host, work func() error) error {
	if r.Around == nil || r.Kind != KindApply {
		return work()
	}
	if err := r.Around.Before(ctx, h.Name, r.Sink); err != nil {
		return fmt.Errorf("nothing is applied to %s: %w", h.Name, err)
	}
	if err := work(); err != nil {
		return err
	}
	return r.Around.After(ctx, h.Name, r.Sink)
}
