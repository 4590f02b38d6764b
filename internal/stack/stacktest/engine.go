// Package stacktest has a Docker engine in memory, for tests of what happens to
// containers in which no container matters.
package stacktest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/machine/machinetest"
)

// A Container is one of an Engine's.
type Container struct {
	ID, Project, Service, Image string
	State                       string              // created, running, paused, restarting, exited
	Exit                        int                 // exit code where State is exited
	Hash                        string              // Compose's, "" for that of its image
	Gated                       bool                // made by Salvor
	Networks                    map[string][]string // the names that it has there, besides its own and its service's
}

// Versions of Compose: of the one that made every container, and of the one that is there.
const (
	MadeBy  = "2.26.1"
	Version = "5.6.0"
)

// An Engine is a Docker engine with the docker program, on a fake machine: what
// package stack asks of them. Images are there and have digests. It is safe for
// concurrent use.
type Engine struct {
	*machinetest.Fake
	// OnStart, if any, is called for each container that is started, and
	// returns the exit code with which it ends at once, or -1 for one that
	// runs.
	OnStart func(Container) int
	// OnRequest, if any, is called for each request to the engine and returns
	// the status to answer instead, or 0.
	OnRequest func(method, path string) int
	// Ends is the exit code of containers that are stopped.
	Ends int
	// Links are folders that lead elsewhere, by path.
	Links map[string]string

	mu         sync.Mutex // guards what follows
	containers []*Container
	made       int
	volumes    map[string]bool // that were made by their names
	networks   map[string]bool // that were made
}

// New returns an engine without containers.
func New() *Engine {
	e := &Engine{Fake: machinetest.NewFake(), volumes: map[string]bool{}, networks: map[string]bool{}}
	in := connections{make(chan net.Conn)}
	e.Serve("unix", "/var/run/docker.sock", func(c net.Conn) { in.all <- c })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", e.list)
	mux.HandleFunc("GET /containers/{id}/json", e.inspect)
	mux.HandleFunc("POST /containers/{id}/pause", e.turn("running", "paused"))
	mux.HandleFunc("POST /containers/{id}/unpause", e.turn("paused", "running"))
	mux.HandleFunc("GET /images/", e.image)
	mux.HandleFunc("GET /volumes/{name}", e.volume)
	mux.HandleFunc("GET /networks/{name}", e.network)
	mux.HandleFunc("GET /distribution/", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"Platforms": []map[string]string{{"os": "linux", "architecture": "amd64"}}})
	})
	go http.Serve(in, e.asked(mux)) //nolint:errcheck,gosec // ends with the test
	for _, program := range []string{"mkdir", "rm", "ln", "chmod", "chown", "cp", "mv", "test"} {
		e.Say(0, "", program)
	}
	e.Handle(e.realpath, "realpath")
	e.Say(0, "/tmp/made\n", "mktemp")
	e.Say(0, "", "docker", "tag")
	e.Handle(e.compose, "docker", "compose")
	e.Handle(e.each("running", "exited"), "docker", "stop")
	e.Handle(e.each("exited", "running"), "docker", "start")
	e.Handle(e.makeVolume, "docker", "volume", "create")
	e.Handle(e.makeNetwork, "docker", "network", "create")
	return e
}

// realpath prints where paths lead, through e.Links.
func (e *Engine) realpath(_ context.Context, p machinetest.Process) int {
	for _, at := range p.Argv[slices.Index(p.Argv, "--")+1:] {
		for link, to := range e.Links {
			if rest, below := strings.CutPrefix(at+"/", link+"/"); below {
				at = path.Join(to, rest)
			}
		}
		fmt.Fprintln(p.Stdout, at)
	}
	return 0
}

type connections struct{ all chan net.Conn }

func (c connections) Accept() (net.Conn, error) { return <-c.all, nil }
func (c connections) Close() error              { return nil }
func (c connections) Addr() net.Addr            { return &net.UnixAddr{Name: "docker.sock", Net: "unix"} }

func (e *Engine) asked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.OnRequest != nil {
			if status := e.OnRequest(r.Method, r.URL.Path); status != 0 {
				http.Error(w, `{"message":"as the test wants it"}`, status)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Add makes a container and returns its id.
func (e *Engine) Add(project, service, state string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.add(Container{Project: project, Service: service, Image: "app:1", State: state}).ID
}

func (e *Engine) add(c Container) *Container {
	e.made++
	c.ID = fmt.Sprintf("%012d%s", e.made, c.Service)
	e.containers = append(e.containers, &c)
	return &c
}

// Set gives a container another state.
func (e *Engine) Set(id, state string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.find(id).State = state
}

// Renew has a container carry another Compose's hash.
func (e *Engine) Renew(id, hash string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.find(id).Hash = hash
}

// State returns a container's state.
func (e *Engine) State(id string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.find(id).State
}

// Containers returns every container, in the order they were made.
func (e *Engine) Containers() []Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []Container
	for _, c := range e.containers {
		all = append(all, *c)
	}
	return all
}

// find returns an empty one for an id that there is not.
func (e *Engine) find(id string) *Container {
	for _, c := range e.containers {
		if c.ID == id {
			return c
		}
	}
	return &Container{}
}

func (e *Engine) list(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	filters := struct{ Label, Network []string }{Label: []string{""}}
	if asked := r.URL.Query().Get("filters"); asked != "" {
		if err := json.Unmarshal([]byte(asked), &filters); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	_, project, one := strings.Cut(strings.Join(filters.Label, ""), "=")
	answer := []map[string]any{}
	for _, c := range e.containers {
		if one && c.Project != project || r.URL.Query().Get("all") == "" && (c.State == "exited" || c.State == "created") {
			continue
		}
		if _, in := c.Networks[strings.Join(filters.Network, "")]; !in && filters.Network != nil {
			continue
		}
		status := "Up 2 minutes"
		if c.State == "exited" {
			status = fmt.Sprintf("Exited (%d) 1 second ago", c.Exit)
		}
		labels := map[string]string{"com.docker.compose.project": c.Project, "com.docker.compose.service": c.Service, "com.docker.compose.config-hash": cmp.Or(c.Hash, c.Image), "com.docker.compose.version": MadeBy}
		mounts := []map[string]string{}
		if c.Gated {
			mounts = append(mounts, map[string]string{"Destination": "/.salvor-gate"})
		}
		answer = append(answer, map[string]any{
			"Id": c.ID, "Names": []string{"/" + c.Project + "-" + c.Service + "-1"}, "Image": c.Image, "ImageID": c.Image, "State": c.State, "Status": status,
			"Labels": labels, "Mounts": mounts, "NetworkSettings": c.joined(),
		})
	}
	reply(w, answer)
}

func (e *Engine) inspect(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.find(r.PathValue("id"))
	if c.ID == "" {
		http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
		return
	}
	reply(w, map[string]any{
		"State": map[string]any{"Status": c.State, "StartedAt": time.Now().Add(-time.Minute)}, "Image": c.Image,
		"Config": map[string]any{"Image": c.Image}, "Mounts": []map[string]any{}, "NetworkSettings": c.joined(),
	})
}

// turn is what pauses and unpauses: the engine refuses what is in another state.
func (e *Engine) turn(from, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		c := e.find(r.PathValue("id"))
		if c.State != from {
			http.Error(w, fmt.Sprintf(`{"message":"Container %s is %s"}`, c.ID, c.State), http.StatusConflict)
			return
		}
		c.State = to
		w.WriteHeader(http.StatusNoContent)
	}
}

// each turns the containers that a command names by their ids.
func (e *Engine) each(from, to string) func(context.Context, machinetest.Process) int {
	return func(_ context.Context, p machinetest.Process) int {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, id := range p.Argv[2:] {
			if c := e.find(id); c.State == from {
				c.State = to
			}
		}
		return 0
	}
}

// image says of every image that its repository knows it by its own name.
func (e *Engine) image(w http.ResponseWriter, r *http.Request) {
	ref := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/images/"), "/json")
	repo, digest, pinned := strings.Cut(ref, "@")
	if !pinned {
		name, tag, _ := strings.Cut(ref, ":")
		repo, digest = name, "sha256:"+tag
	}
	reply(w, map[string]any{"RepoDigests": []string{repo + "@" + digest}})
}

func reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who asked may be gone
}
