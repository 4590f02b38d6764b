package publishing

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/loop"
	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
	"salvor/internal/publish"
	"salvor/internal/record"
	"salvor/internal/route"
	"salvor/internal/secret/agekey"
	"salvor/internal/socketdir"
)

const token = "cfat_test"

// A dockerd is an engine that has containers and says when they change.
type dockerd struct {
	mu      sync.Mutex // guards what follows
	away    bool
	runs    map[string]string // container to "project/service"
	events  []net.Conn
	listing int
}

func (e *dockerd) serve(c net.Conn) {
	for in := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(in)
		if err != nil || !e.answer(c, r) {
			c.Close()
			return
		}
	}
}

// answer is false where the connection ends with it.
func (e *dockerd) answer(c net.Conn, r *http.Request) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return false
	}
	if r.URL.Path == "/events" {
		e.events = append(e.events, c)
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		return true
	}
	e.listing++
	list := []map[string]any{}
	for name, of := range e.runs {
		stack, service, _ := strings.Cut(of, "/")
		list = append(list, map[string]any{"Id": name, "Names": []string{"/" + name}, "State": "running", "Labels": map[string]string{
			"com.docker.compose.project": stack, "com.docker.compose.service": service,
		}})
	}
	body, _ := json.Marshal(list)
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return true
}

func (e *dockerd) changed() {
	event := `{"Type":"container"}` + "\n"
	for _, c := range e.events {
		fmt.Fprintf(c, "%x\r\n%s\r\n", len(event), event)
	}
}

func (e *dockerd) starts(name, of string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs[name] = of
	e.changed()
}

func (e *dockerd) stops(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.runs, name)
	e.changed()
}

// goes takes the engine away; what runs is what ran, or nothing.
func (e *dockerd) goes(live bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = true
	for _, c := range e.events {
		c.Close()
	}
	e.events = nil
	if !live {
		e.runs = map[string]string{}
	}
}

func (e *dockerd) comes() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.away = false
}

// A guard says of each stack what the test does.
type guard struct {
	mu      sync.Mutex // guards what follows
	says    map[string]record.Verdict
	soon    map[string]record.Verdict // says from the next look on
	changed chan struct{}
}

func (g *guard) set(stack string, v record.Verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.says[stack] = v
	close(g.changed)
	g.changed = make(chan struct{})
}

// next has a look say something else, which no one knows before it.
func (g *guard) next(stack string, v record.Verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.soon[stack] = v
}

func (g *guard) look() {
	for stack, v := range g.soon {
		g.says[stack] = v
	}
	g.soon = map[string]record.Verdict{}
}

// Verdicts implements Guard.
func (g *guard) Verdicts(_ context.Context, spec agentapi.Host) map[string]record.Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.look()
	all := map[string]record.Verdict{}
	for _, st := range spec.Stacks {
		all[st.Name] = g.says[st.Name]
	}
	return all
}

// Verdict implements Guard.
func (g *guard) Verdict(ctx context.Context, s *here.Stack) record.Verdict {
	g.mu.Lock()
	g.look()
	g.mu.Unlock()
	return g.Recent(ctx, s)
}

// Recent implements Guard.
func (g *guard) Recent(_ context.Context, s *here.Stack) record.Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.says[s.Name]
}

// Own implements Guard.
func (g *guard) Own(_ context.Context, _ agentapi.Host, own agentapi.Stack, _ bool) record.Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v, said := g.says[own.Name]; said {
		return v
	}
	return record.Verdict{State: record.Own, MayChange: true, Epoch: own.Epoch}
}

// Changed implements Guard.
func (g *guard) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

var (
	mine    = record.Verdict{State: record.Own, MayStart: true, MayChange: true, Epoch: 1}
	lost    = record.Verdict{State: record.Lost, Epoch: 2, Reason: "beta claimed epoch 2"}
	unheard = record.Verdict{State: record.Unknown, MayStart: true, Reason: "neither Git nor the record remote answers"}
)

// A tunnel is one of the emulated Cloudflare.
type tunnel struct {
	publish.Connector
	api     *cloudflaretest.Server
	is      cloudflare.Tunnel
	moved   string
	stopped bool
	found   []finding.Finding
}

// Open implements Tunnel.
func (t *tunnel) Open(_ context.Context, _ *cloudflare.Client, spec agentapi.Host) (cloudflare.Tunnel, error) {
	if t.is.ID == "" {
		name := fleet.TunnelName(spec.Fleet, spec.Name, spec.Own.Epoch)
		t.is = cloudflare.Tunnel{ID: t.api.AddTunnel(name, 50*time.Millisecond), Name: name}
		t.Connector = t.api.Connector(t.is.ID)
	}
	return t.is, nil
}

// Start implements Tunnel.
func (t *tunnel) Start(context.Context) error { return nil }

// Doubt implements Tunnel.
func (t *tunnel) Doubt() {}

// Moved implements Tunnel.
func (t *tunnel) Moved(to cloudflare.Tunnel) { t.moved = to.ID }

// Stop implements Tunnel.
func (t *tunnel) Stop(context.Context) error {
	t.stopped = true
	return nil
}

// Findings implements Tunnel.
func (t *tunnel) Findings(context.Context, []route.Owned) ([]finding.Finding, error) {
	return t.found, nil
}

// Permissions implements Tunnel.
func (t *tunnel) Permissions(ctx context.Context, api *cloudflare.Client, _ []route.Owned) ([]finding.Finding, error) {
	if err := api.VerifyToken(ctx); err != nil {
		return []finding.Finding{{Code: finding.TokenLacks, Subject: "ingress.token", Text: err.Error()}}, nil
	}
	return nil, nil
}

// A stand is a host with stacks, an engine and an account at Cloudflare.
type stand struct {
	*testing.T
	*here.Host
	*guard
	*dockerd
	tunnel *tunnel
	api    *cloudflaretest.Server
	spec   agentapi.Host
	d      *Daemon
	end    func()
}

func newStand(t *testing.T) *stand {
	t.Helper()
	api := &cloudflaretest.Server{}
	api.AddZone("example.com")
	return standOf(t, api, "alpha", token)
}

// standOf is a host of the fleet with an account that others may have, and a token of its own.
func standOf(t *testing.T, api *cloudflaretest.Server, name, token string) *stand {
	t.Helper()
	dir, err := socketdir.Make("publishing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m, e := machinetest.NewFake(), &dockerd{runs: map[string]string{}}
	m.Serve("unix", "/var/run/docker.sock", e.serve)
	s := &stand{T: t, dockerd: e, api: api, guard: &guard{says: map[string]record.Verdict{}, soon: map[string]record.Verdict{}, changed: make(chan struct{})}}
	s.api.AddToken(token, cloudflaretest.All)
	s.tunnel = &tunnel{api: s.api}
	s.Host = &here.Host{
		Machine: m, Journal: journal.Journal{Dir: dir + "/state/journal"},
		Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run"},
		Edges: here.Edges{Cloudflare: s.api},
	}
	if err := os.MkdirAll(s.Paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := agekey.EnsureHost(s.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	s.spec = agentapi.Host{Fleet: "home", Name: name, Own: &agentapi.Stack{Name: fleet.Own(name), Epoch: 1}}
	s.publishes(token)
	return s
}

// publishes has the host publish with a token.
func (s *stand) publishes(token string) {
	s.Helper()
	s.spec.Ingress = &agentapi.Ingress{Account: cloudflaretest.Account, Network: "cloudflare-net", Hosts: 1, Routes: s.own()}
	heretest.Seal(s.T, s.Host, s.spec.Own, s.spec.Name, agentapi.SealedFile{IngressToken: []byte(token)})
	s.save()
}

func (s *stand) own() []route.Route {
	if s.spec.Ingress == nil {
		return nil
	}
	return s.spec.Ingress.Routes
}

func (s *stand) save() {
	s.Helper()
	if err := s.SaveSpec(s.spec); err != nil {
		s.Fatal(err)
	}
}

// place has a stack placed here, with the routes of its service app; deployed says that it ran
// here.
func (s *stand) place(stack string, deployed bool, routes ...route.Route) {
	s.Helper()
	for i := range routes {
		routes[i].Of, routes[i].Grace = "app", 10*time.Minute
	}
	s.spec.Stacks = append(s.spec.Stacks, agentapi.Stack{Name: stack, Epoch: 1, Project: project.Project{Routes: routes}})
	s.set(stack, mine)
	if deployed {
		s.deployed(stack)
	}
	s.save()
}

func (s *stand) deployed(stack string) {
	s.Helper()
	if err := s.SaveLocal(stack, here.Local{Epoch: 1}); err != nil {
		s.Fatal(err)
	}
}

// run has the daemon run, in place of one that did.
func (s *stand) run() {
	if s.end != nil {
		s.end()
	}
	ctx, stop := context.WithCancel(s.Context())
	s.d = New(s.Host, s.guard, s.tunnel)
	var loops loop.Set
	loops.Start(ctx, s.d.Loop())
	s.end = func() {
		stop()
		loops.Wait()
		s.end = nil
	}
}

// after lets time go by.
func (s *stand) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *stand) writes() int { return len(s.wrote("")) }

// wrote returns what changed something with a token, "" for any.
func (s *stand) wrote(token string) (all []string) {
	for _, c := range s.api.Calls() {
		if c.Writes() && (token == "" || c.Token == token) {
			all = append(all, c.Method+" "+c.Path)
		}
	}
	return all
}

// live checks which hostnames reach their service.
func (s *stand) live(when string, want ...string) {
	s.Helper()
	var got []string
	for _, r := range s.api.Records("example.com") {
		if s.api.Visit(r.Name, "/").Reached() {
			got = append(got, strings.TrimSuffix(r.Name, ".example.com"))
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.Errorf("%s: live are %v, want %v", when, got, want)
	}
}

func plain(name string) route.Route {
	return route.Route{Hostname: name + ".example.com", Service: "http://" + name + ":80"}
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, test func(s *stand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		defer func() {
			if s.end != nil {
				s.end()
			}
		}()
		test(s)
	})
}
