package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// A Mount is a path of the host that a running container can write to.
type Mount struct {
	Container string
	Project   string // "" for a container that no Compose made
	Source    string // as the engine names it
}

// Mounts returns what every running container on the host, by whatever it was
// started, has mounted writable.
func (e *Engine) Mounts(ctx context.Context) ([]Mount, error) {
	answer, err := e.get(ctx, "/containers/json")
	if err != nil {
		return nil, err
	}
	return parseMounts(answer)
}

func parseMounts(answer []byte) ([]Mount, error) {
	var list []struct {
		Names  []string
		Labels map[string]string
		Mounts []struct {
			Source string
			RW     bool
		}
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the Docker engine's list: %w", err)
	}
	var all []Mount
	for _, c := range list {
		for _, m := range c.Mounts {
			if m.RW && m.Source != "" {
				all = append(all, Mount{strings.TrimPrefix(strings.Join(c.Names, ""), "/"), c.Labels[projectLabel], m.Source})
			}
		}
	}
	return all, nil
}
