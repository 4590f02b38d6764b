// Package docker is a Docker engine in memory with the docker program: containers of
// Compose projects, their volumes on a real folder, pause, health, gates, and what is
// left of all that when the power is cut.
package docker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/stack"
)

// warmUp is how long a container's health is open after it started.
const warmUp = time.Second

// service is what each project's only service is called.
const service = "app"

// Bad is part of the name of an image whose containers end with an error.
const Bad = "bad"

// A Container is one of an Engine's, of its project's only service.
type Container struct {
	ID, Project, Image string
	State              string // created, running, paused, exited
	Exit               int
	Started            time.Time
	Gate               string   // folder that must be there for it to start, "" for none
	Volumes            []string // named volumes that it mounts
	wanted             bool     // the engine starts it after a boot
}

// Runs reports whether its program is there, frozen or not.
func (c Container) Runs() bool { return c.State == "running" || c.State == "paused" }

// Files are those of the engine's machine.
type Files interface {
	Read(path string) ([]byte, bool)
	Exists(path string) bool
}

// An Engine is safe for concurrent use. Fields are set before it is used.
type Engine struct {
	Files   Files
	Volumes string                  // folder with a folder for each volume
	Starts  func(running Container) // is called when a container starts

	mu         sync.Mutex // guards what follows
	containers []*Container
	made       int
}

// Containers returns every container.
func (e *Engine) Containers() []Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Container
	for _, c := range e.containers {
		all = append(all, *c)
	}
	return all
}

// PowerOff ends everything that runs.
func (e *Engine) PowerOff() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if c.Runs() {
			c.State, c.Exit = "exited", 137
		}
	}
}

// Boot starts the containers that ran when the power went, as far as their gates are
// open.
func (e *Engine) Boot() {
	e.mu.Lock()
	var started []Container
	for _, c := range e.containers {
		if c.wanted && !c.Runs() && e.start(c) == nil {
			started = append(started, *c)
		}
	}
	e.mu.Unlock()
	e.tell(started)
}

func (e *Engine) tell(started []Container) {
	for _, c := range started {
		if c.State == "running" && e.Starts != nil {
			e.Starts(c)
		}
	}
}

// start is called locked.
func (e *Engine) start(c *Container) error {
	if c.Gate != "" && !e.Files.Exists(c.Gate) {
		return fmt.Errorf("invalid mount config for type \"bind\": bind source path does not exist: %s", c.Gate)
	}
	if err := e.makeVolumes(c); err != nil {
		return err
	}
	c.State, c.Exit, c.Started, c.wanted = "running", 0, time.Now(), true
	if strings.Contains(c.Image, Bad) {
		c.State, c.Exit = "exited", 1
	}
	return nil
}

func (e *Engine) makeVolumes(c *Container) error {
	for _, v := range c.Volumes {
		if err := os.MkdirAll(filepath.Join(e.Volumes, v, "_data"), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Dial returns a connection to the engine's socket.
func (e *Engine) Dial() net.Conn {
	near, far := net.Pipe()
	go e.serve(far)
	return near
}

func (e *Engine) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return // who asked is gone
		}
		status, answer := e.answer(req.Method, req.URL)
		body, err := json.Marshal(answer)
		if err != nil || status == http.StatusNoContent {
			body = nil
		}
		head := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
		if status != http.StatusNoContent {
			head += "Content-Type: application/json\r\n"
		}
		if _, err := conn.Write(append([]byte(head+"\r\n"), body...)); err != nil {
			return
		}
	}
}

func (e *Engine) answer(method string, u *url.URL) (int, any) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case u.Path == "/containers/json":
		return e.list(u.Query())
	case parts[0] == "containers" && method == http.MethodGet:
		return e.inspect(parts[1])
	case parts[0] == "containers" && parts[2] == "pause":
		return e.turn(parts[1], "running", "paused")
	case parts[0] == "containers" && parts[2] == "unpause":
		return e.turn(parts[1], "paused", "running")
	case parts[0] == "images":
		return image(strings.TrimSuffix(strings.TrimPrefix(u.Path, "/images/"), "/json"))
	}
	return http.StatusNotFound, message("no such path: " + u.Path)
}

func message(text string) map[string]string { return map[string]string{"message": text} }

func (e *Engine) list(query url.Values) (int, any) {
	filters := struct{ Label []string }{[]string{""}}
	if asked := query.Get("filters"); asked != "" {
		if err := json.Unmarshal([]byte(asked), &filters); err != nil {
			return http.StatusBadRequest, message(err.Error())
		}
	}
	_, project, one := strings.Cut(filters.Label[0], "=")
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []map[string]any{}
	for _, c := range e.containers {
		if one && c.Project != project || query.Get("all") == "" && !c.Runs() {
			continue
		}
		list = append(list, c.listed(e.Volumes))
	}
	return http.StatusOK, list
}

func (c *Container) listed(volumes string) map[string]any {
	status := fmt.Sprintf("Up 1 second (%s)", c.health())
	if !c.Runs() {
		status = fmt.Sprintf("Exited (%d) 1 second ago", c.Exit)
	}
	var mounts []map[string]any
	if c.Gate != "" {
		mounts = append(mounts, map[string]any{"Type": "bind", "Source": c.Gate, "Destination": stack.GateTarget})
	}
	for _, v := range c.Volumes {
		mounts = append(mounts, map[string]any{"Type": "volume", "Name": v, "Source": filepath.Join(volumes, v, "_data"), "Destination": "/data", "RW": true})
	}
	return map[string]any{
		"Id": c.ID, "Names": []string{"/" + c.Project + "-" + service + "-1"}, "Image": c.Image, "ImageID": c.Image, "State": c.State, "Status": status, "Mounts": mounts,
		"Labels": map[string]string{"com.docker.compose.project": c.Project, "com.docker.compose.service": service, "com.docker.compose.config-hash": c.Image},
	}
}

func (c *Container) health() string {
	if time.Since(c.Started) < warmUp {
		return "health: starting"
	}
	return "healthy"
}

func (e *Engine) find(id string) *Container {
	i := slices.IndexFunc(e.containers, func(c *Container) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return e.containers[i]
}

func (e *Engine) inspect(id string) (int, any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.find(id)
	if c == nil {
		return http.StatusNotFound, message("No such container: " + id)
	}
	return http.StatusOK, map[string]any{"State": map[string]any{"Status": c.State, "StartedAt": c.Started, "Health": map[string]any{"Status": strings.TrimPrefix(c.health(), "health: ")}}}
}

// turn is what pauses and unpauses: the engine refuses what is in another state.
func (e *Engine) turn(id, from, to string) (int, any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.find(id)
	switch {
	case c == nil:
		return http.StatusNotFound, message("No such container: " + id)
	case c.State != from:
		return http.StatusConflict, message(fmt.Sprintf("Container %s is %s", id, c.State))
	}
	c.State = to
	return http.StatusNoContent, nil
}

// image is there, whatever it is called, and has a digest that its name gives.
func image(ref string) (int, any) {
	repo, digest, pinned := strings.Cut(ref, "@")
	if !pinned {
		repo, digest = path.Dir(ref)+"/"+strings.SplitN(path.Base(ref), ":", 2)[0], Digest(ref)
	}
	return http.StatusOK, map[string]any{"RepoDigests": []string{repo + "@" + digest}}
}
