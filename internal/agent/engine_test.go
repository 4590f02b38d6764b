package agent

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/stack"
)

// An engine is this machine with a Docker engine that only knows what a test
// says: its containers, and which commands were run on them.
type engine struct {
	local.Machine
	root string // in place of /var/lib/salvor

	mu         sync.Mutex // guards everything that follows
	containers []container
	calls      []string
	stopping   func() // runs while a project is stopped
	stopped    string // project that is listed as running once more, as Docker does for a moment
}

// A container is one of an engine's.
type container struct {
	name, project, state string
	gated                bool
	mounts               []string
}

// withEngine gives a host an engine.
func withEngine(t *testing.T, h *Host, containers ...container) *engine {
	t.Helper()
	e := &engine{root: h.Paths.State, containers: containers}
	h.Stacks = stack.New(e)
	t.Cleanup(h.Stacks.Close)
	return e
}

// Dial implements machine.Machine: every socket is the engine's.
func (e *engine) Dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	l := &oneConn{conn: far, closed: make(chan struct{})}
	go func() { _ = (&http.Server{Handler: http.HandlerFunc(e.answer)}).Serve(l) }()
	return near, nil
}

// oneConn is a listener with a single connection.
type oneConn struct {
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	var c net.Conn
	l.once.Do(func() { c = l.conn })
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "engine"} }

func (e *engine) answer(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := []map[string]any{}
	for _, c := range e.containers {
		late := c.project != "" && c.project == e.stopped
		if r.URL.Query().Get("all") == "" && c.state != "running" && !late {
			continue
		}
		var mounts []map[string]any
		for _, m := range c.mounts {
			mounts = append(mounts, map[string]any{"Type": "bind", "Source": m, "Destination": "/data", "RW": true})
		}
		if c.gated {
			mounts = append(mounts, map[string]any{"Type": "bind", "Source": "/gate", "Destination": stack.GateTarget})
		}
		labels := map[string]string{}
		if c.project != "" {
			labels["com.docker.compose.project"] = c.project
		}
		list = append(list, map[string]any{"Id": c.name, "Names": []string{"/" + c.name}, "State": c.state, "Labels": labels, "Mounts": mounts})
	}
	e.stopped = ""
	_ = json.NewEncoder(w).Encode(list)
}

// Run implements machine.Machine.
func (e *engine) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if c.Argv[0] == "mktemp" {
		return machine.Output{Stdout: []byte("/var/lib/salvor/made\n")}, nil // rm is not run either
	}
	if !slices.Contains([]string{"docker", "mkdir", "rm", "test", "chmod"}, c.Argv[0]) {
		return e.Machine.Run(ctx, c)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, strings.Join(c.Argv, " "))
	if len(c.Argv) > 4 && c.Argv[4] == "stop" {
		if e.stopping != nil {
			e.stopping()
		}
		for i := range e.containers {
			if e.containers[i].project == c.Argv[3] {
				e.containers[i].state, e.stopped = "exited", c.Argv[3]
			}
		}
	}
	return machine.Output{}, nil
}

// ran reports whether a command was run that contains text.
func (e *engine) ran(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.calls, func(c string) bool { return strings.Contains(c, text) })
}

// at is where a path of /var/lib/salvor lies; of others there is nothing, and
// nothing is written there.
func (e *engine) at(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/var/lib/salvor")
	return filepath.Join(e.root, rest), ok
}

// ReadFile implements machine.Machine.
func (e *engine) ReadFile(_ context.Context, path string) ([]byte, error) {
	path, ok := e.at(path)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(path)
}

// WriteFile implements machine.Machine.
func (e *engine) WriteFile(_ context.Context, path string, content io.Reader, mode fs.FileMode) error {
	path, ok := e.at(path)
	if !ok {
		return nil
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, mode)
}
