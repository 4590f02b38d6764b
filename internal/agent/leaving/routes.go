package leaving

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"salvor/internal/agent/publishing"
	"salvor/internal/agent/tunnel"
	"salvor/internal/hostpath"
)

// leaveRoutes has the daemon, which still runs, take off what the host has published.
func (h Host) leaveRoutes(ctx context.Context) ([]string, error) {
	took, err := publishing.TakeOff(ctx, h.Host)
	if err != nil || !took {
		return nil, err
	}
	return []string{"public hostnames"}, nil
}

// leaveConnector stops a connector that the daemon did not.
func (h Host) leaveConnector(ctx context.Context) ([]string, error) {
	_, err := os.Stat(filepath.Join(h.Paths.State, hostpath.Tunnel))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	connector := tunnel.New(h.Host)
	defer connector.Close()
	return []string{tunnel.Project}, connector.Stop(ctx)
}
