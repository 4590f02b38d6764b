package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Config is what an image gives its containers, or what a container was made with.
type Config struct {
	Image           string // by which a container was made, as it was written
	Hostname        string
	User            string
	WorkingDir      string
	Env             []string
	Cmd, Entrypoint []string
	Labels          map[string]string
	Healthcheck     struct{ Test []string }
}

// Made is what a container was made with, as the engine keeps it.
type Made struct {
	Image      string // its id
	Config     Config
	HostConfig struct {
		NetworkMode                string
		PortBindings               map[string][]Binding // by "80/tcp"
		RestartPolicy              RestartPolicy
		Privileged, ReadonlyRootfs bool
		Init                       *bool
		CapAdd, CapDrop            []string
		Tmpfs                      map[string]string
	}
	Mounts          []Mounted
	NetworkSettings struct{ Networks map[string]struct{} }
}

// A Binding is a port of the host that leads to a container's.
type Binding struct{ HostIP, HostPort string }

// RestartPolicy says when the engine starts a container again.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// Written is the policy as a Compose file has it.
func (r RestartPolicy) Written() string {
	if r.MaximumRetryCount > 0 {
		return fmt.Sprintf("%s:%d", r.Name, r.MaximumRetryCount)
	}
	return cmp.Or(r.Name, "no")
}

// Mounted is what a container has at a path.
type Mounted struct {
	Type, Name, Source, Destination string
	RW                              bool
}

// Anonymous reports whether it is a volume whose name the engine made up.
func (m Mounted) Anonymous() bool { return m.Type == "volume" && anonymous(m.Name) }

// Made returns what a container was made with, and what its image gave for it; an error
// wraps ErrNoSuch when the container is gone. An image that is gone gave nothing.
func (e *Engine) Made(ctx context.Context, id string) (Made, Config, error) {
	var made Made
	answer, err := e.get(ctx, "/containers/"+id+"/json")
	if err == nil {
		err = json.Unmarshal(answer, &made)
	}
	if err != nil {
		return made, Config{}, fmt.Errorf("read the Docker engine's container: %w", err)
	}
	var image struct{ Config Config }
	answer, err = e.get(ctx, "/images/"+made.Image+"/json")
	if errors.Is(err, ErrNoSuch) {
		return made, Config{}, nil
	}
	if err == nil {
		err = json.Unmarshal(answer, &image)
	}
	if err != nil {
		return made, Config{}, fmt.Errorf("read the Docker engine's image: %w", err)
	}
	return made, image.Config, nil
}
