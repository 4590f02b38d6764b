package leaving

import (
	"context"

	"salvor/internal/agent/publishing"
)

// leaveRoutes has the daemon, which still runs, take off what the host has published.
func (h Host) leaveRoutes(ctx context.Context) ([]string, error) {
	took, err := publishing.TakeOff(ctx, h.Host)
	if err != nil || !took {
		return nil, err
	}
	return []string{"public hostnames"}, nil
}
