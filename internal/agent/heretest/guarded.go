package heretest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine/machinetest"
	"salvor/internal/record"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/stack"
	"salvor/internal/storage"
)

// Dockerd is a Docker engine that has one container of each stack that runs.
type Dockerd struct {
	mu   sync.Mutex
	runs map[string]bool
}

// Set says whether a stack runs.
func (e *Dockerd) Set(stack string, runs bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[stack] = runs
}

// Running reports whether a stack runs.
func (e *Dockerd) Running(stack string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.runs[stack]
}

// serve answers one connection's requests for the list of containers.
func (e *Dockerd) serve(c net.Conn) {
	defer c.Close()
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		asked := r.URL.Query().Get("filters")
		all := !strings.Contains(asked, "com.docker.compose.project=")
		e.mu.Lock()
		list := []map[string]any{}
		for name, runs := range e.runs {
			if runs && (all || strings.Contains(asked, `com.docker.compose.project=`+name+`"`)) {
				list = append(list, map[string]any{"Id": name, "State": "running", "Labels": map[string]string{"com.docker.compose.project": name, "com.docker.compose.service": "app"}})
			}
		}
		e.mu.Unlock()
		body, err := json.Marshal(list)
		if err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// Guarded is a host with the stack notes running at an epoch; its record is a
// folder, and Git is a repository on this disk.
type Guarded struct {
	*here.Host
	Engine *Dockerd
	Spec   agentapi.Host
}

// Notes is the stack that a Guarded host runs.
const Notes = "notes"

// NewGuarded makes a host whose look at Git and record takes no time.
func NewGuarded(t *testing.T, name, remote, git string, epoch int) *Guarded {
	t.Helper()
	dir, e, m := t.TempDir(), &Dockerd{runs: map[string]bool{}}, machinetest.NewFake()
	m.Serve("unix", "/var/run/docker.sock", e.serve)
	for _, harmless := range []string{"rm", "mkdir", "docker"} {
		m.Say(0, "", harmless)
	}
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		for _, id := range p.Argv[4:] {
			e.Set(id, false)
		}
		return 0
	}, "docker", "stop")
	h := &here.Host{
		Machine: m, Stacks: stack.New(m), Journal: journal.Journal{Dir: dir + "/state/journal"},
		Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"},
		Lease: agentapi.Lease{Every: time.Millisecond, Within: 10 * time.Second, Grace: time.Second, Git: time.Hour},
	}
	if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := agekey.EnsureHost(h.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.EnsureSigning(name); err != nil {
		t.Fatal(err)
	}
	g := &Guarded{Host: h, Engine: e, Spec: agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: name, Record: fleet.Location{Remote: "disk", Path: remote}}}
	if git != "" {
		g.Spec.Git = agentapi.Git{URL: "file://" + git, Branch: "main"}
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}}
	g.Spec.Stacks = []agentapi.Stack{{Name: Notes, Epoch: epoch}}
	Seal(t, h, &g.Spec.Stacks[0], name, file)
	if err := h.SaveSpec(g.Spec); err != nil {
		t.Fatal(err)
	}
	return g
}

// Starts has the stack run here at its epoch.
func (g *Guarded) Starts(t *testing.T) {
	t.Helper()
	if err := g.SaveLocal(Notes, here.Local{Epoch: g.Spec.Stacks[0].Epoch}); err != nil {
		t.Fatal(err)
	}
	g.Engine.Set(Notes, true)
}

// Claim appends a claim to the record, as an operator does.
func Claim(t *testing.T, remote string, c record.Claim) {
	t.Helper()
	ClaimFor(t, Notes, remote, c)
}

// ClaimFor is Claim for another stack.
func ClaimFor(t *testing.T, stack, remote string, c record.Claim) {
	t.Helper()
	folder, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: remote})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close(t.Context())
	away := func(string) (bool, bool) { return false, false }
	if r, err := record.New(folder).Trusting(FleetTrust()).Claim(t.Context(), stack, c, away); err != nil || r.Owner != c.Host {
		t.Fatal(r, err)
	}
}

// PlacesOn is a repository that places the stack, and has a host's key, signed by the
// fleet's.
func PlacesOn(t *testing.T, host, key string, epoch int) string {
	t.Helper()
	return PlacesSigned(t, FleetKey(), host, key, epoch)
}

// PlacesSigned is PlacesOn, with a host's key that another key has signed.
func PlacesSigned(t *testing.T, signer sign.Key, host, key string, epoch int) string {
	t.Helper()
	dir := t.TempDir()
	lock, err := json.Marshal(fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{Notes: {Host: host, Epoch: epoch}}})
	if err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, "salvor.lock"), string(lock))
	file := hostkey.Path(host)
	signature, err := hostkey.Sign(file, []byte(key+"\n"), signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "hosts"), 0o700); err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, file), key+"\n")
	Write(t, filepath.Join(dir, hostkey.SignaturePath(file)), string(signature))
	for _, argv := range [][]string{
		{"git", "init", "-q", "-b", "main"}, {"git", "add", "."},
		{"git", "-c", "user.name=ann", "-c", "user.email=ann@example.net", "commit", "-q", "-m", "placed"},
	} {
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, out)
		}
	}
	return dir
}
