package agent

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/leaving"
	"salvor/internal/agentapi"
	"salvor/internal/docker"
	"salvor/internal/inventory"
	"salvor/internal/progress"
)

// Leaving is the host as it is given back to its user.
func Leaving(h *Host) leaving.Host { return leaving.Host{Host: h.base()} }

// Inventory answers what runs on a host, also what Salvor did not start. Nothing is written.
func Inventory(h *Host) func(context.Context, agentapi.AskInventory, progress.Sink) (agentapi.Inventory, error) {
	return func(ctx context.Context, req agentapi.AskInventory, _ progress.Sink) (agentapi.Inventory, error) {
		known, err := h.base().Known()
		if err != nil {
			return agentapi.Inventory{}, err
		}
		own := map[string]struct{}{}
		for _, name := range known {
			own[name] = struct{}{}
		}
		engine := docker.New(h.Machine)
		defer engine.Close()
		found, err := inventory.Host{Engine: engine, Own: own}.Look(ctx, req.Projects...)
		outside(found.Projects, here.ReadMounts())
		return found, err
	}
}

// outside notes of folders whether they would be there as ones that are kept outside.
func outside(projects []agentapi.RunningProject, mounts here.Mounts) {
	for _, p := range projects {
		for i, m := range p.Mounts {
			if m.Volume == "" && m.Folder {
				p.Mounts[i].Absent, p.Mounts[i].Unmounted = mounts.Absent(m.Source), mounts.Unmounted(m.Source)
			}
		}
	}
}
