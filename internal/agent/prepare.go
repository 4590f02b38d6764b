package agent

import (
	"context"

	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Prepare installs what data is restored with, and nothing that touches a stack:
// an apply that comes beside it waits for the package manager.
func (h *Host) Prepare(ctx context.Context, _ agentapi.Prepare, sink progress.Sink) (agentapi.Prepared, error) {
	changed, err := startup.New(h.keeper(), agentapi.Host{}, sink).PrepareData(ctx)
	return agentapi.Prepared{Schema: agentapi.Schema, Changed: changed}, err
}
