package stack

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/machine"
)

const (
	engineSocket = "/var/run/docker.sock"

	projectLabel = "com.docker.compose.project"
	serviceLabel = "com.docker.compose.service"
	hashLabel    = "com.docker.compose.config-hash"
	oneOffLabel  = "com.docker.compose.oneoff"
	needsLabel   = "com.docker.compose.depends_on" // "db:service_healthy:false,cache:service_started:true"

	engineTimeout  = time.Minute
	composeTimeout = 30 * time.Minute // a build or a slow pull included
	maxAnswer      = 64 << 20
)

// A Host runs stacks on one machine. Its methods are safe for concurrent use on
// different stacks; callers hold the host's run lock, so that no two runs work on one
// stack at once.
type Host struct {
	machine machine.Machine
	engine  *http.Client
}

// New returns the stacks of a machine. Close it when done.
func New(m machine.Machine) *Host {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return m.Dial(ctx, "unix", engineSocket) }
	return &Host{machine: m, engine: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close drops connections to the engine that are idle; the machine stays open.
func (h *Host) Close() { h.engine.CloseIdleConnections() }

// Container is one container of a project as the engine lists it.
type Container struct {
	ID      string
	Name    string
	Project string
	Service string
	Hash    string // Compose's hash of the service it was made from
	Image   string // as the container was made with
	ImageID string
	State   string   // created, running, paused, restarting, exited, dead
	Health  string   // healthy, unhealthy, starting, "" where there is no check; as its checks found
	Doubted bool     // paused since its last check: the engine calls it unhealthy until the next
	Awaits  []string // services that must be healthy before it starts
	Exit    int      // exit code where State is exited
	Gated   bool
	Volumes map[string]string // anonymous Docker volumes by target
	OneOff  bool              // made by `docker compose run`
}

// containers lists the containers of every Compose project, or of one, with a
// single call and one more for each that the engine calls unhealthy.
func (h *Host) containers(ctx context.Context, project string) ([]Container, error) {
	label := projectLabel
	if project != "" {
		label += "=" + project
	}
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, err
	}
	answer, err := h.get(ctx, "/containers/json?all=1&filters="+url.QueryEscape(string(filters)))
	if err != nil {
		return nil, err
	}
	list, err := parseContainers(answer)
	if err != nil {
		return nil, err
	}
	return list, h.correctHealth(ctx, list)
}

// get asks the engine. The path without a version means the engine's own.
func (h *Host) get(ctx context.Context, path string) ([]byte, error) {
	return h.ask(ctx, http.MethodGet, path)
}

// post has the engine do something.
func (h *Host) post(ctx context.Context, path string) error {
	_, err := h.ask(ctx, http.MethodPost, path)
	return err
}

func (h *Host) ask(ctx context.Context, method, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := h.engine.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the Docker engine: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read the Docker engine's answer: %w", err)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("docker engine: %w", errNoSuch)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("docker engine: %s: %s", resp.Status, bytes.TrimSpace(body[:min(len(body), 300)]))
	}
	return body, nil
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
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return nil, fmt.Errorf("read the Docker engine's list: %w", err)
	}
	var out []Container
	for _, e := range list {
		c := Container{ID: e.ID, Image: e.Image, ImageID: e.ImageID, State: e.State, Project: e.Labels[projectLabel],
			Service: e.Labels[serviceLabel], Hash: e.Labels[hashLabel], OneOff: e.Labels[oneOffLabel] == "True", Awaits: parseAwaits(e.Labels[needsLabel])}
		if len(e.Names) > 0 {
			c.Name = strings.TrimPrefix(e.Names[0], "/")
		}
		c.Health, c.Exit = parseStatus(e.Status)
		for _, m := range e.Mounts {
			c.Gated = c.Gated || m.Destination == GateTarget
			if m.Type == "volume" && anonymous(m.Name) {
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
	case healthy, unhealthy:
		return inner, 0
	case "health: starting":
		return starting, 0
	}
	code, err := strconv.Atoi(inner)
	if err != nil {
		return "", 0
	}
	return "", code
}

// anonymous reports whether a volume's name is one that the engine made up.
func anonymous(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}
