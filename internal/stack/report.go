package stack

import (
	"context"

	"salvor/internal/agentapi"
)

// ReportEngine says what a host's engine is and what it has, for all projects and none.
func ReportEngine(ctx context.Context, h *Host) (agentapi.Engine, error) {
	about, err := h.engine.About(ctx)
	if err != nil {
		return agentapi.Engine{}, err
	}
	containers, err := h.engine.All(ctx)
	if err != nil {
		return agentapi.Engine{}, err
	}
	e := agentapi.Engine{Version: about.Version, Runtimes: about.Runtimes, Networks: about.Networks}
	for _, c := range containers {
		e.Containers = append(e.Containers, agentapi.HostContainer{Name: c.Name, Project: c.Project, Ports: c.Taken})
	}
	return e, nil
}
