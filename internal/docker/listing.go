package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Labels that Compose puts on containers: where a project came from. An image may carry
// them too, so they prove nothing.
const (
	dirLabel   = "com.docker.compose.project.working_dir"
	filesLabel = "com.docker.compose.project.config_files"
	envLabel   = "com.docker.compose.project.environment_file"
)

// A Listed is a container of any origin with what it was made from.
type Listed struct {
	ID, Name, Image, ImageID string
	Running                  bool
	Made                     time.Time
	Project, Service, Hash   string   // as Compose labels them, "" for a container that it did not make
	OneOff                   bool     // made by `docker compose run`
	Dir                      string   // the project's folder
	ComposeFiles, EnvFiles   []string // as Compose was given them
	Mounts                   []ListedMount
	Networks                 []string // sorted
}

// A ListedMount is a mount of a container. Source is where the data lies on the host.
type ListedMount struct {
	Volume    string // Docker's name, "" for a bind
	Anonymous bool
	Source    string
	Target    string
	ReadOnly  bool
}

// List lists every container, running or not, of any origin, with a single call.
func (e *Engine) List(ctx context.Context) ([]Listed, error) {
	answer, err := e.get(ctx, "/containers/json?all=1")
	if err != nil {
		return nil, err
	}
	return parseListed(answer)
}

func parseListed(answer []byte) ([]Listed, error) {
	var list []struct {
		ID              string `json:"Id"`
		Names           []string
		Image, ImageID  string
		State           string
		Created         int64
		Labels          map[string]string
		Mounts          []mountEntry
		NetworkSettings struct{ Networks map[string]json.RawMessage }
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the Docker engine's list: %w", err)
	}
	var out []Listed
	for _, l := range list {
		c := Listed{
			ID: l.ID, Image: l.Image, ImageID: l.ImageID, Made: time.Unix(l.Created, 0).UTC(),
			Running: l.State == "running" || l.State == "paused" || l.State == "restarting",
			Project: l.Labels[projectLabel], Service: l.Labels[serviceLabel], Hash: l.Labels[hashLabel], OneOff: l.Labels[oneOffLabel] == "True",
			Dir: l.Labels[dirLabel], ComposeFiles: commaList(l.Labels[filesLabel]), EnvFiles: commaList(l.Labels[envLabel]),
		}
		if len(l.Names) > 0 {
			c.Name = strings.TrimPrefix(l.Names[0], "/")
		}
		for _, m := range l.Mounts {
			c.Mounts = append(c.Mounts, m.listed())
		}
		for name := range l.NetworkSettings.Networks {
			c.Networks = append(c.Networks, name)
		}
		slices.Sort(c.Networks)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

type mountEntry struct {
	Type, Name, Source, Destination string
	RW                              bool
}

func (m mountEntry) listed() ListedMount {
	one := ListedMount{Source: m.Source, Target: m.Destination, ReadOnly: !m.RW}
	if m.Type == "volume" {
		one.Volume, one.Anonymous = m.Name, Anonymous(m.Name)
	}
	return one
}

func commaList(s string) []string {
	return slices.DeleteFunc(strings.Split(s, ","), func(one string) bool { return one == "" })
}

// A NamedVolume is a volume of Docker's own driver.
type NamedVolume struct {
	Name   string
	Source string // where its data lies
}

// Volumes lists the volumes of Docker's own driver, by name.
func (e *Engine) Volumes(ctx context.Context) ([]NamedVolume, error) {
	all, err := e.volumes(ctx)
	var out []NamedVolume
	for _, v := range all {
		if v.Driver == "local" {
			out = append(out, NamedVolume{v.Name, v.Mountpoint})
		}
	}
	slices.SortFunc(out, func(a, b NamedVolume) int { return cmp.Compare(a.Name, b.Name) })
	return out, err
}

// VolumeNames lists the names of all volumes, whatever their driver, sorted; none is not nil.
func (e *Engine) VolumeNames(ctx context.Context) ([]string, error) {
	all, err := e.volumes(ctx)
	names := make([]string, 0, len(all))
	for _, v := range all {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return names, err
}

// listedVolume is one volume as the engine lists it.
// Source: Engine API, GET /volumes.
type listedVolume struct{ Name, Driver, Mountpoint string }

func (e *Engine) volumes(ctx context.Context) ([]listedVolume, error) {
	answer, err := e.get(ctx, "/volumes")
	if err != nil {
		return nil, err
	}
	var in struct{ Volumes []listedVolume }
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's volumes: %w", err)
	}
	return in.Volumes, nil
}

// Foreign returns the networks that no project made, by name: what a Compose file calls
// external, and Docker's own.
func (e *Engine) Foreign(ctx context.Context) (map[string]bool, error) {
	answer, err := e.get(ctx, "/networks")
	if err != nil {
		return nil, err
	}
	var in []struct {
		Name   string
		Labels map[string]string
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's networks: %w", err)
	}
	made := map[string]bool{}
	for _, n := range in {
		if n.Labels[projectLabel] == "" && !slices.Contains([]string{"bridge", "host", "none"}, n.Name) {
			made[n.Name] = true
		}
	}
	return made, nil
}

// InSwarm reports whether the engine is part of a Swarm.
func (e *Engine) InSwarm(ctx context.Context) (bool, error) {
	answer, err := e.get(ctx, "/info")
	if err != nil {
		return false, err
	}
	var in struct {
		Swarm struct{ LocalNodeState string }
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return false, fmt.Errorf("read what the Docker engine says of itself: %w", err)
	}
	return in.Swarm.LocalNodeState == "active", nil
}
