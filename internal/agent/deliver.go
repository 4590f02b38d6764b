package agent

import (
	"context"
	"math"

	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Deliveries returns from the journal which secrets were written, and when.
func (h *Host) Deliveries(_ context.Context, req agentapi.Deliveries, _ progress.Sink) (agentapi.DeliveryList, error) {
	list := agentapi.DeliveryList{Schema: agentapi.Schema, Deliveries: []agentapi.Delivery{}}
	entries, err := h.Journal.Tail(math.MaxInt)
	for _, e := range entries {
		if e.Kind == startup.KindSecrets && len(e.Secrets) > 0 && !e.At.Before(req.Since) {
			list.Deliveries = append(list.Deliveries, agentapi.Delivery{At: e.At, Stack: e.Stack, Commit: e.Commit, Services: e.Services, Secrets: e.Secrets})
		}
	}
	return list, err
}
