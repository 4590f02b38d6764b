package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/project"
)

const (
	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	hashLabel    = "com.docker.compose.config-hash"
	oneOffLabel  = "com.docker.compose.oneoff"
	madeByLabel  = "com.docker.compose.version"
	needsLabel   = "com.docker.compose.depends_on" // "db:service_healthy:false,cache:service_started:true"
)

// Container is one container of a project as the engine lists it.
type Container struct {
	ID              string
	Name            string
	Project         string
	Service         string
	Hash            string // Compose's hash of the service it was made from
	MadeBy          string // the version of the Compose that made it
	Image           string // as the container was made with
	ImageID         string
	State           string             // created, running, paused, restarting, exited, dead
	Health          string             // healthy, unhealthy, starting, "" where there is no check; as its checks found
	HealthUncertain bool               // paused since its last check: the engine calls it unhealthy until the next
	Awaits          []string           // services that must be healthy before it starts
	Exit            int                // exit code where State is exited
	Targets         []string           // where something is mounted
	Volumes         map[string]string  // anonymous Docker volumes by target
	Ports           []string           // as people write them, see published
	Taken           []project.HostPort // of the host
	OneOff          bool               // made by `docker compose run`
}

// Containers lists the containers of every Compose project, or of one, with a
// single call and one more for each that the engine calls unhealthy.
func (e *Engine) Containers(ctx context.Context, project string) ([]Container, error) {
	label := projectLabel
	if project != "" {
		label += "=" + project
	}
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, err
	}
	answer, err := e.get(ctx, "/containers/json?all=1&filters="+url.QueryEscape(string(filters)))
	if err != nil {
		return nil, err
	}
	list, err := parseContainers(answer)
	if err != nil {
		return nil, err
	}
	return list, e.correctHealth(ctx, list)
}

// Running lists the containers that run, of every project and of none.
func (e *Engine) Running(ctx context.Context) ([]Container, error) {
	answer, err := e.get(ctx, "/containers/json")
	if err != nil {
		return nil, err
	}
	return parseContainers(answer)
}

// All lists every container, of every project and of none, whether it runs or not.
func (e *Engine) All(ctx context.Context) ([]Container, error) {
	answer, err := e.get(ctx, "/containers/json?all=1")
	if err != nil {
		return nil, err
	}
	return parseContainers(answer)
}

// Pause freezes a running container; of any other it is an error.
func (e *Engine) Pause(ctx context.Context, id string) error {
	return e.post(ctx, "/containers/"+id+"/pause")
}

// Unpause lets a paused container continue; of any other it is an error.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	return e.post(ctx, "/containers/"+id+"/unpause")
}

// parseContainers reads the answer to GET /containers/json of Docker's Engine
// API, 1.41 and later, sorted by project, service and name.
func parseContainers(answer []byte) ([]Container, error) {
	var list []struct {
		ID             string `json:"Id"`
		Names          []string
		Image, ImageID string
		State, Status  string
		Labels         map[string]string
		Mounts         []struct{ Type, Name, Source, Destination string }
		Ports          []port
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the Docker engine's list: %w", err)
	}
	var out []Container
	for _, l := range list {
		c := Container{ID: l.ID, Image: l.Image, ImageID: l.ImageID, State: l.State, Project: l.Labels[projectLabel],
			Service: l.Labels[serviceLabel], Hash: l.Labels[hashLabel], MadeBy: strings.TrimPrefix(l.Labels[madeByLabel], "v"), OneOff: l.Labels[oneOffLabel] == "True", Awaits: parseAwaits(l.Labels[needsLabel])}
		if len(l.Names) > 0 {
			c.Name = strings.TrimPrefix(l.Names[0], "/")
		}
		c.Health, c.Exit = parseStatus(l.Status)
		c.Ports, c.Taken = published(l.Ports), taken(l.Ports)
		for _, m := range l.Mounts {
			c.Targets = append(c.Targets, m.Destination)
			if m.Type == "volume" && Anonymous(m.Name) {
				if c.Volumes == nil {
					c.Volumes = map[string]string{}
				}
				c.Volumes[m.Destination] = m.Name
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// parseStatus reads the engine's words: "Up 2 minutes (healthy)", "Up 1 second
// (health: starting)", "Exited (127) 3 hours ago".
func parseStatus(status string) (health string, exit int) {
	_, rest, ok := strings.Cut(status, "(")
	inner, _, closed := strings.Cut(rest, ")")
	if !ok || !closed {
		return "", 0
	}
	switch inner {
	case Healthy, Unhealthy:
		return inner, 0
	case "health: starting":
		return Starting, 0
	}
	code, err := strconv.Atoi(inner)
	if err != nil {
		return "", 0
	}
	return "", code
}

// Anonymous reports whether a volume's name is one that the engine made up.
func Anonymous(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}
