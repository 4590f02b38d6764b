package agent

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/publishing"
	"salvor/internal/agent/tunnel"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/memdir"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/route"
	"salvor/internal/secret/agekey"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// A publisher is a host whose stack notes has a public hostname, with an engine and an account
// at Cloudflare; its connectors do what cloudflared does.
type publisher struct {
	*here.Host
	t      *testing.T
	engine *stacktest.Engine
	api    *cloudflaretest.Server
	remote string
	spec   agentapi.Host
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	memory := heretest.Memory(t)
	dir, e := t.TempDir(), stacktest.New()
	p := &publisher{t: t, engine: e, api: &cloudflaretest.Server{}, remote: t.TempDir()}
	p.api.AddToken("cfat_test", cloudflaretest.All)
	p.api.AddZone("example.com")
	p.Host = &here.Host{
		Machine: e, Stacks: stack.New(e), Journal: journal.Journal{Dir: dir + "/state/journal"},
		Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: memory, Volumes: dir + "/volumes"},
		Lease: agentapi.DefaultLease(),
		Edges: here.Edges{Cloudflare: p.api, Free: func() {}, Mount: func(root string) (memdir.Kind, error) { return memdir.Tmpfs, os.MkdirAll(root, 0o700) }},
	}
	t.Cleanup(p.Stacks.Close)
	e.OnStart = p.start
	if err := os.MkdirAll(p.Paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := agekey.EnsureHost(p.Paths.Identity()); err != nil {
		t.Fatal(err)
	}
	p.spec = agentapi.Host{
		Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Record: fleet.Location{Remote: "disk", Path: p.remote},
		Own: &agentapi.Stack{Name: fleet.Own("alpha"), Epoch: 1}, Projects: []agentapi.OwnProject{{Name: tunnel.Project, Image: fleet.ConnectorImage}},
		Ingress: &agentapi.Ingress{Account: cloudflaretest.Account, Network: "cloudflare-net", Hosts: 1},
	}
	heretest.Seal(t, p.Host, p.spec.Own, "alpha", agentapi.SealedFile{IngressToken: []byte("cfat_test")})
	p.save()
	return p
}

func (p *publisher) save() {
	p.t.Helper()
	if err := p.SaveSpec(p.spec); err != nil {
		p.t.Fatal(err)
	}
}

// start is a container that starts: a connector answers by what Cloudflare says that it has.
func (p *publisher) start(c stacktest.Container) int {
	if c.Project != tunnel.Project {
		return -1
	}
	content, err := os.ReadFile(filepath.Join(p.Paths.Secrets().Service(tunnel.Project, c.Service), "tunnel_token"))
	if err != nil {
		return 1
	}
	token, err := cloudflaretest.ParseConnectorToken(string(content))
	if err != nil {
		return 1
	}
	of := p.api.Connector(token.Tunnel)
	p.engine.Serve("tcp", c.Address()+":2000", func(conn net.Conn) {
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		version, err := of.Version(r.Context())
		if err != nil {
			return
		}
		body := fmt.Sprintf(`{"version":%d}`, version)
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
	})
	return -1
}

// place has the stack be placed and claimed here, as an apply's operator does before.
func (p *publisher) place() {
	p.t.Helper()
	st := agentapi.Stack{Name: heretest.Notes, Epoch: 1, Project: project.Project{
		Dir: "/var/lib/salvor/stacks/notes", Compose: []byte("services:\n  app:\n    image: app:1\n"), Hash: "sha256:1",
		Services: []project.Service{{Name: "app", Image: "app:1"}},
		Routes:   []route.Route{{Hostname: "notes.example.com", Service: "http://app:80", Of: "app", Grace: 10 * time.Minute}},
	}}
	heretest.Seal(p.t, p.Host, &st, "alpha", agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}})
	heretest.Claim(p.t, p.remote, record.Claim{Epoch: 1, Host: "alpha", Key: p.Recipient()})
	p.spec.Stacks = []agentapi.Stack{st}
	p.save()
}

// TestTheDaemonPublishes is a deploy as the daemon and an apply, two processes, see it, with
// the host's own connector; and then a stack that another host takes over.
func TestTheDaemonPublishes(t *testing.T) {
	p := newPublisher(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- (*Host)(p.Host).Run(ctx, progress.Discard()) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	until := func(what string, met func() bool) {
		t.Helper()
		for !met() {
			if here.Sleep(t.Context(), 5*time.Millisecond) != nil {
				t.Fatalf("%s: never", what)
			}
		}
	}
	reached := func() bool { return p.api.Visit("notes.example.com", "/").Reached() }
	p.place()
	announced := publishing.Announce(t.Context(), p.Host, p.spec)
	began := time.Now()
	until("its route is live while it starts", reached)
	t.Logf("live after %s", time.Since(began))
	p.engine.Add(heretest.Notes, "app", "running")
	if err := p.SaveLocal(heretest.Notes, here.Local{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	var receipt agentapi.HostReceipt
	announced.Finish(t.Context(), &receipt)
	if !slices.Equal(receipt.Routes.Live, []string{"notes.example.com"}) || receipt.Routes.Why != "" || len(receipt.Phases) != 1 {
		t.Errorf("%+v, %+v", receipt.Routes, receipt.Phases)
	}
	connectors := 0
	for _, c := range p.engine.Containers() {
		if c.Project == tunnel.Project && c.State == "running" && strings.HasPrefix(c.Image, fleet.ConnectorImage) {
			connectors++
		}
	}
	if connectors != 1 {
		t.Errorf("%d connectors", connectors)
	}
	cloudflaretest.Person{Server: p.api}.DeleteTunnel(p.api.Visit("notes.example.com", "/").Tunnel)
	publishing.Announce(t.Context(), p.Host, p.spec).Finish(t.Context(), &agentapi.HostReceipt{})
	until("it has another tunnel", reached)
	calls := len(p.api.Calls())
	heretest.Claim(t, p.remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	until("it is stopped", func() bool { return p.Local(heretest.Notes).Lost })
	announced = publishing.Announce(t.Context(), p.Host, p.spec)
	announced.Finish(t.Context(), &receipt)
	for _, c := range p.api.Calls()[calls:] {
		if c.Writes() {
			t.Errorf("a host that lost its stack: %s %s", c.Method, c.Path)
		}
	}
	if !reached() || len(receipt.Routes.Live)+len(receipt.Routes.Pending) > 0 {
		t.Errorf("%+v", receipt.Routes)
	}
}
