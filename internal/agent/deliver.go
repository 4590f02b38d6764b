package agent

import (
	"context"
	"math"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/journal"
	"salvor/internal/progress"
)

// kindSecrets is the journal's kind of a delivery.
const kindSecrets = "secrets"

// deliver writes a stack's secrets into memory, and into the journal which.
func (r *run) deliver(s *Stack) error {
	report, err := delivery.Deliver(r.Paths.Secrets(), delivery.Secrets{Stack: s.Name, Mounts: s.Project.Secrets, Env: s.Project.Env, Sealed: s.access.file})
	if err != nil || len(report.Services) == 0 && !report.Env {
		return err
	}
	r.record(journal.Entry{Kind: kindSecrets, Stack: s.Name, Commit: r.spec.Commit, Services: report.Services, Secrets: delivered(s.Stack, report)})
	return nil
}

// delivered names what a delivery wrote, as `salvor secret ls` does.
func delivered(st agentapi.Stack, report delivery.Report) []string {
	var names []string
	for _, m := range st.Project.Secrets {
		name, isFile := m.File()
		if !isFile {
			name = st.Name + "/" + m.Secret
		}
		if slices.Contains(report.Services, m.Service) {
			names = append(names, name)
		}
	}
	if report.Env {
		for _, key := range st.Project.Env {
			names = append(names, st.Name+"/"+key)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Deliveries returns from the journal which secrets were written, and when.
func (h *Host) Deliveries(_ context.Context, req agentapi.Deliveries, _ progress.Sink) (agentapi.DeliveryList, error) {
	list := agentapi.DeliveryList{Schema: agentapi.Schema, Deliveries: []agentapi.Delivery{}}
	entries, err := h.Journal.Tail(math.MaxInt)
	for _, e := range entries {
		if e.Kind == kindSecrets && len(e.Secrets) > 0 && !e.At.Before(req.Since) {
			list.Deliveries = append(list.Deliveries, agentapi.Delivery{At: e.At, Stack: e.Stack, Commit: e.Commit, Services: e.Services, Secrets: e.Secrets})
		}
	}
	return list, err
}
