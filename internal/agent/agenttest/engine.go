package agenttest

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

	"salvor/internal/agent/here"
	"salvor/internal/atomicfile"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/stack"
)

// An Engine is this machine with a Docker engine that only knows what a test says: its
// containers, and which commands were run on them.
type Engine struct {
	local.Machine
	root string // in place of /var/lib/salvor

	mu         sync.Mutex // guards everything that follows
	Containers []Container
	calls      []string
	Stopping   func() // runs while a project is stopped
	Live       bool   // containers run on while the engine is restarted
	stopped    string // project that is listed as running once more, as Docker does for a moment
}

// A Container is one of an engine's.
type Container struct {
	Name, Project, State string
	Gated                bool
	Mounts               []string
}

// WithEngine gives a host an engine.
func WithEngine(t *testing.T, h *here.Host, containers ...Container) *Engine {
	t.Helper()
	e := &Engine{root: h.Paths.State, Containers: containers}
	h.Stacks = stack.New(e)
	t.Cleanup(h.Stacks.Close)
	return e
}

// Dial implements machine.Machine: every socket is the engine's.
func (e *Engine) Dial(context.Context, string, string) (net.Conn, error) {
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

// Accept implements net.Listener.
func (l *oneConn) Accept() (net.Conn, error) {
	var c net.Conn
	l.once.Do(func() { c = l.conn })
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *oneConn) Close() error { return nil }

// Addr implements net.Listener.
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "engine"} }

func (e *Engine) answer(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r.URL.Path == "/info" {
		_ = json.NewEncoder(w).Encode(map[string]bool{"LiveRestoreEnabled": e.Live})
		return
	}
	list := []map[string]any{}
	for _, c := range e.Containers {
		late := c.Project != "" && c.Project == e.stopped
		if r.URL.Query().Get("all") == "" && c.State != "running" && !late {
			continue
		}
		var mounts []map[string]any
		for _, m := range c.Mounts {
			mounts = append(mounts, map[string]any{"Type": "bind", "Source": m, "Destination": "/data", "RW": true})
		}
		if c.Gated {
			mounts = append(mounts, map[string]any{"Type": "bind", "Source": "/gate", "Destination": stack.GateTarget})
		}
		labels := map[string]string{}
		if c.Project != "" {
			labels["com.docker.compose.project"] = c.Project
		}
		list = append(list, map[string]any{"Id": c.Name, "Names": []string{"/" + c.Name}, "State": c.State, "Labels": labels, "Mounts": mounts})
	}
	e.stopped = ""
	_ = json.NewEncoder(w).Encode(list)
}

// Run implements machine.Machine.
func (e *Engine) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if c.Argv[0] == "mktemp" {
		return machine.Output{Stdout: []byte("/var/lib/salvor/made\n")}, nil // rm is not run either
	}
	if !slices.Contains([]string{"docker", "mkdir", "rm", "test", "chmod", "systemctl"}, c.Argv[0]) {
		return e.Machine.Run(ctx, c)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, strings.Join(c.Argv, " "))
	if len(c.Argv) > 4 && c.Argv[4] == "stop" {
		if e.Stopping != nil {
			e.Stopping()
		}
		for i := range e.Containers {
			if e.Containers[i].Project == c.Argv[3] {
				e.Containers[i].State, e.stopped = "exited", c.Argv[3]
			}
		}
	}
	return machine.Output{}, nil
}

// Ran reports whether a command was run that contains text.
func (e *Engine) Ran(text string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.calls, func(c string) bool { return strings.Contains(c, text) })
}

// at is where a path of /var/lib/salvor lies; of others there is nothing, and
// nothing is written there.
func (e *Engine) at(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/var/lib/salvor")
	return filepath.Join(e.root, rest), ok
}

// ReadFile implements machine.Machine.
func (e *Engine) ReadFile(_ context.Context, path string) ([]byte, error) {
	path, ok := e.at(path)
	if !ok {
		return nil, fs.ErrNotExist
	}
	return os.ReadFile(path)
}

// WriteFile implements machine.Machine.
func (e *Engine) WriteFile(_ context.Context, path string, content io.Reader, mode fs.FileMode) error {
	path, ok := e.at(path)
	if !ok {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, content, mode)
}
