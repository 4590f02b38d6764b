package stacktest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"salvor/internal/machine/machinetest"
)

// makeNetwork is `docker network create`.
func (e *Engine) makeNetwork(_ context.Context, p machinetest.Process) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.networks[p.Argv[len(p.Argv)-1]] = true
	return 0
}

func (e *Engine) network(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := r.PathValue("name")
	if !e.networks[name] {
		http.Error(w, `{"message":"network not found"}`, http.StatusNotFound)
		return
	}
	reply(w, map[string]any{"Name": name})
}

// Join puts a container into a network, where others reach it by these names, too.
func (e *Engine) Join(id, network string, aliases ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.find(id).join(network, aliases...)
}

func (c *Container) join(network string, aliases ...string) {
	if c.Networks == nil {
		c.Networks = map[string][]string{}
	}
	c.Networks[network] = aliases
}

// joined are a container's networks as the engine shows them. Its address is the same in all.
func (c *Container) joined() map[string]any {
	all := map[string]any{}
	for name, aliases := range c.Networks {
		all[name] = map[string]any{"IPAddress": c.Address(), "Aliases": append(slices.Clone(aliases), c.ID[:12])}
	}
	return map[string]any{"Networks": all}
}

// Address is the container's in its networks.
func (c *Container) Address() string {
	n, err := strconv.Atoi(c.ID[:12]) // as it was made
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("172.18.%d.%d", n/250, n%250+2)
}

// networksOf returns the names of the external networks of a Compose file's services.
func networksOf(compose []byte) (map[string][]string, error) {
	var file struct {
		Services map[string]struct{ Networks yaml.Node }
		Networks map[string]struct {
			Name     string
			External bool
		}
	}
	if err := yaml.Unmarshal(compose, &file); err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for service, s := range file.Services {
		for i, n := range s.Networks.Content {
			if s.Networks.Kind == yaml.MappingNode && i%2 == 1 {
				continue // a key's value
			}
			if net := file.Networks[n.Value]; net.External {
				all[service] = append(all[service], net.Name)
			}
		}
	}
	return all, nil
}
