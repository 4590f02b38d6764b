package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/memdir"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

const apiToken = "cfat_do-not-print-me"

// A stand is a host with an engine, and an account at Cloudflare. Its connectors do what
// cloudflared does: they read the token when they start, and are connected if it is a tunnel's.
type stand struct {
	t      *testing.T
	engine *stacktest.Engine
	api    *cloudflaretest.Server
	host   *here.Host
	tunnel *Tunnel

	steps int         // calls of the machine
	step  func(n int) // before each of them

	mu         sync.Mutex // guards what follows
	now        time.Time
	connectors map[string]*served // by address
	broken     map[string]bool    // images that do not start
}

type served struct {
	tunnel  string // "" for a token of none
	token   string
	away    bool
	version int
}

func newStand(t *testing.T) *stand {
	t.Helper()
	dir := heretest.Memory(t)
	s := &stand{t: t, engine: stacktest.New(), api: &cloudflaretest.Server{}, now: time.Unix(1_800_000_000, 0), connectors: map[string]*served{}, broken: map[string]bool{}}
	s.api.AddToken(apiToken, cloudflaretest.All)
	s.engine.OnStart = s.start
	state := t.TempDir()
	paths := hostpath.Layout{Config: state + "/etc", State: state + "/state", Run: dir + "/run"}
	if err := os.MkdirAll(paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := agekey.EnsureHost(paths.Identity()); err != nil {
		t.Fatal(err)
	}
	m := watched{s.engine, s}
	s.host = &here.Host{Machine: m, Stacks: stack.New(m), Paths: paths, Journal: journal.Journal{Dir: state + "/journal"}, Edges: here.Edges{Now: s.time, Mount: inMemory}}
	s.again()
	return s
}

func inMemory(root string) (memdir.Kind, error) { return memdir.Tmpfs, os.MkdirAll(root, 0o700) }

// again is salvord starting again.
func (s *stand) again() {
	s.tunnel = New(s.host)
	s.tunnel.takeOver = 0
}

func (s *stand) time() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *stand) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

// client acts at the account.
func (s *stand) client() *cloudflare.Client {
	s.t.Helper()
	c, err := cloudflare.New(cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString(apiToken), Transport: s.api})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func settings() Settings {
	spec := agentapi.Host{Fleet: "home", Name: "alpha", Ingress: &agentapi.Ingress{Account: cloudflaretest.Account, Network: "cloudflare-net"}}
	spec.Projects = []agentapi.OwnProject{{Name: Project, Image: "cloudflare/cloudflared:2026.8.0"}}
	return SettingsOf(spec)
}

// ensure has all be as it is wanted.
func (s *stand) ensure(with Settings) cloudflare.Tunnel {
	s.t.Helper()
	found, err := s.tunnel.Ensure(s.t.Context(), with, s.client())
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// start is a connector that starts.
func (s *stand) start(c stacktest.Container) int {
	if c.Project != Project {
		return -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken[c.Image] {
		return 1
	}
	content, err := os.ReadFile(filepath.Join(s.host.Paths.Secrets().Service(Project, c.Service), tokenFile))
	if err != nil {
		return 127 // as without the folder
	}
	token, err := cloudflaretest.ParseConnectorToken(string(content))
	if err != nil {
		return 1
	}
	one := &served{token: token.String(), version: -1, tunnel: token.Tunnel}
	s.connectors[c.Address()] = one
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r.URL.Path, one) })
	s.engine.Serve("tcp", c.Address()+":2000", func(conn net.Conn) { answerWith(conn, answer) })
	return -1
}

// answerWith answers one request.
func answerWith(conn net.Conn, h http.Handler) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	_ = w.Result().Write(conn) // who asked may be gone
}

func (s *stand) answer(w http.ResponseWriter, path string, c *served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case path == "/ready" && (c.away || c.tunnel == ""):
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":503,"readyConnections":0,"connectorId":"x"}`)
	case path == "/ready":
		fmt.Fprint(w, `{"status":200,"readyConnections":4,"connectorId":"x"}`)
	case path == "/config":
		fmt.Fprintf(w, `{"version":%d,"config":{"ingress":[]}}`, c.version)
	}
}

// of returns the connectors that run, by service.
func (s *stand) of() map[string]*served {
	all := map[string]*served{}
	for _, c := range s.engine.Containers() {
		if c.Project == Project && c.State == "running" {
			s.mu.Lock()
			all[c.Service] = s.connectors[c.Address()]
			s.mu.Unlock()
		}
	}
	return all
}

// set changes a connector.
func (s *stand) set(name string, change func(*served)) {
	s.t.Helper()
	c := s.of()[name]
	if c == nil {
		s.t.Fatalf("%s does not run", name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	change(c)
}

// connected is how many connectors serve a tunnel.
func (s *stand) connected(tunnel string) int {
	n := 0
	for _, c := range s.of() {
		s.mu.Lock()
		if c.tunnel == tunnel && !c.away {
			n++
		}
		s.mu.Unlock()
	}
	return n
}

func (s *stand) person() cloudflaretest.Person { return cloudflaretest.Person{Server: s.api} }

func (s *stand) calls() int { return len(s.api.Calls()) }

// watched is the engine's machine, which counts what is asked of it.
type watched struct {
	*stacktest.Engine
	s *stand
}

func (s *stand) before() {
	s.steps++
	if s.step != nil {
		s.step(s.steps)
	}
}

// Run implements machine.Machine.
func (w watched) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	w.s.before()
	return w.Engine.Run(ctx, c)
}

// ReadFile implements machine.Machine.
func (w watched) ReadFile(ctx context.Context, name string) ([]byte, error) {
	w.s.before()
	return w.Engine.ReadFile(ctx, name)
}

// WriteFile implements machine.Machine.
func (w watched) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	w.s.before()
	return w.Engine.WriteFile(ctx, name, content, mode)
}

var errKilled = errors.New("killed")
