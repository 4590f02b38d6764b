package stacktest

import (
	"context"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v3"

	"salvor/internal/machine/machinetest"
)

func (e *Engine) volume(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := r.PathValue("name")
	if !e.volumes[name] {
		http.Error(w, `{"message":"no such volume"}`, http.StatusNotFound)
		return
	}
	reply(w, map[string]string{"Name": name})
}

func (e *Engine) makeVolume(_ context.Context, p machinetest.Process) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.volumes[p.Argv[len(p.Argv)-1]] = true
	return 0
}

// lacks is what Compose says of a file that names a volume which others have to make.
func (e *Engine) lacks(compose []byte) error {
	var file struct {
		Volumes map[string]struct{ External bool }
	}
	if err := yaml.Unmarshal(compose, &file); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, v := range file.Volumes {
		if v.External && !e.volumes[name] {
			return fmt.Errorf("external volume %q not found", name)
		}
	}
	return nil
}
