package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

const (
	planHosts  = 20
	planStacks = 100 // with a service and a database each
)

// A clean Debian in this process: salvord's own observation, on a host in
// memory.
type observed struct {
	*debiantest.Host
	agent agent.Host
}

func newObserved(dir string) *observed {
	o := &observed{Host: debiantest.New()}
	o.agent = agent.Host{
		Machine: o.Host, Stacks: stack.New(o), Snapshots: snapshot.Engine{Host: o.Host, Dirs: hostpath.Layout{State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}},
		Paths: hostpath.Layout{Config: dir + "/config", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"},
	}
	return o
}

// Dial implements machine.Machine: no engine listens yet.
func (o *observed) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, syscall.ECONNREFUSED
}

// Run implements machine.Machine: `salvord observe` and nothing else.
func (o *observed) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if len(c.Argv) != 2 || c.Argv[1] != agentapi.VerbObserve {
		return machine.Output{}, fmt.Errorf("a plan ran %v", c.Argv)
	}
	var req agentapi.Request
	var observe agentapi.Observe
	if err := json.NewDecoder(c.Stdin).Decode(&req); err != nil {
		return machine.Output{}, err
	}
	if err := json.Unmarshal(req.Body, &observe); err != nil {
		return machine.Output{}, err
	}
	state, err := o.agent.Observe(ctx, observe, progress.Discard())
	if err != nil {
		return machine.Output{}, err
	}
	result, err := json.Marshal(state)
	if err != nil {
		return machine.Output{}, err
	}
	return machine.Output{}, json.NewEncoder(c.Stdout).Encode(agentapi.Message{Result: result})
}

// largeFleet is a control repository with planHosts hosts and two services in
// each of planStacks stacks.
func largeFleet(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	environ := append(os.Environ(), "GIT_AUTHOR_NAME=Olga", "GIT_AUTHOR_EMAIL=olga@example.net", "GIT_COMMITTER_NAME=Olga", "GIT_COMMITTER_EMAIL=olga@example.net")
	g, err := begun(tb.Context(), dir, controlrepo.Beginning{Name: "home"}, environ)
	if err != nil {
		tb.Fatal(err)
	}
	signers := sign.Keys{mustSigner(tb).Public()}
	if err := confirmation.Pin(g, "home", signers); err != nil {
		tb.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, fleet.File))
	if err != nil {
		tb.Fatal(err)
	}
	var hosts strings.Builder
	for i := range planHosts {
		fmt.Fprintf(&hosts, "  host%02d: {address: 192.0.2.%d}\n", i, i+1)
	}
	declared := strings.Replace(string(config), "hosts: {}\n", "hosts:\n"+hosts.String(), 1)
	folder := strings.TrimPrefix(tb.TempDir(), "/")
	declared = strings.Replace(declared, "remotes: {}\n", "remotes: {disk: {type: local}}\n", 1) +
		fmt.Sprintf("data: {snapshots: [{name: disk, remote: disk, path: %q, every: 15m}]}\n", folder)
	files := map[string][]byte{
		fleet.File:                  []byte(declared),
		fleet.FleetSignersFile:      signers.Signers("home"),
		"stacks/hello/compose.yaml": nil,
	}
	for i := range planStacks {
		files[fmt.Sprintf("stacks/stack%03d/compose.yaml", i)] = fmt.Appendf(nil, `x-salvor:
  host: host%02d
services:
  app:
    image: registry.example.net/app:1.%d
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    environment: {DATABASE: db, LOG: info}
    ports: ["%d:8080"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "/app", "health"], interval: 5s}
  db:
    image: postgres:17
    restart: unless-stopped
    volumes: ["db:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD", "pg_isready"], interval: 5s}
volumes: {data: {}, db: {}}
`, i%planHosts, i, 8000+i)
	}
	if _, err := g.CommitFiles(tb.Context(), files, "a large fleet"); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// plan does what `salvor plan` does, the hosts in this process.
func plan(ctx context.Context, dir string, hosts map[string]*observed) (_ deploy.Plan, err error) {
	a, err := Open(ctx, Options{Dir: dir, Sink: progress.Discard(), Approve: approveAll, Connect: func(_ context.Context, h fleet.Host) (machine.Machine, error) { return hosts[h.Name], nil }})
	if err != nil {
		return deploy.Plan{}, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s, err := a.Session(ctx, progress.Discard())
	if err != nil {
		return deploy.Plan{}, err
	}
	next, moves := placement.Next(s.Fleet, s.Lock, nil)
	p := deploy.MakePlan(s.Fleet, s.Commit, moves, s.Observe(ctx, next))
	page := terminal.NewPage(io.Discard, false)
	p.Render(page)
	return p, page.Err()
}

// BenchmarkPlan plans a fleet of 20 hosts and 200 services from a cold start:
// the commit exported and rendered, every host observed by salvord's own code,
// the plan made and printed. Only the network and the hosts' disks are missing.
// `salvorlab bench plan` runs it.
func BenchmarkPlan(b *testing.B) {
	dir, hosts := largeFleet(b), map[string]*observed{}
	for i := range planHosts {
		hosts[fmt.Sprintf("host%02d", i)] = newObserved(b.TempDir())
	}
	for b.Loop() {
		began := time.Now()
		planned(b, dir, hosts)
		b.Logf("planned in %s", time.Since(began))
	}
}

// TestThePlanOfALargeFleetIsComplete: what BenchmarkPlan measures is a plan.
func TestThePlanOfALargeFleetIsComplete(t *testing.T) {
	t.Parallel()
	dir, hosts := largeFleet(t), map[string]*observed{}
	for i := range planHosts {
		hosts[fmt.Sprintf("host%02d", i)] = newObserved(t.TempDir())
	}
	planned(t, dir, hosts)
}

// planned plans the large fleet, all of it.
func planned(tb testing.TB, dir string, hosts map[string]*observed) {
	tb.Helper()
	p, err := plan(tb.Context(), dir, hosts)
	if err != nil {
		tb.Fatal(err)
	}
	if missing := p.Complete(); missing != nil || len(p.Hosts) != planHosts {
		tb.Fatalf("%d hosts: %v", len(p.Hosts), missing)
	}
	stacks := map[string]bool{}
	for _, h := range p.Hosts {
		for _, c := range h.Changes {
			stacks[c.Stack] = c.Stack != ""
		}
	}
	if delete(stacks, ""); len(stacks) != planStacks {
		tb.Fatalf("the plan has %d stacks, want %d", len(stacks), planStacks)
	}
}
