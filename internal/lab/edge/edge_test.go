package edge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/front"
	"salvor/internal/lab/connector"
	"salvor/internal/lab/edge"
)

const zone = "example.com"

// A place is an account with one tunnel, its edge, and a browser.
type place struct {
	*edge.Edge
	api     *cloudflaretest.Server
	tunnel  string
	at      string // where connectors come
	browser *http.Client
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{api: &cloudflaretest.Server{}}
	p.api.AddZone(zone)
	p.tunnel = p.api.AddTunnel("alpha", 0)
	p.Edge = edge.New(p.api)
	var err error
	if p.at, err = p.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	f, err := front.New()
	if err != nil {
		t.Fatal(err)
	}
	f.HandleOthers(p.Edge)
	secure, err := f.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain := httptest.NewServer(p.Edge)
	t.Cleanup(plain.Close)
	p.browser = edge.Client(secure, plain.Listener.Addr().String(), f.CA)
	return p
}

// publish leads hostnames of the zone to services, by a record for each and one rule list.
func (p *place) publish(t *testing.T, rules ...string) {
	t.Helper()
	var records []cloudflaretest.Record
	seen := map[string]bool{}
	for _, raw := range rules {
		var r cloudflaretest.Rule
		if err := json.Unmarshal([]byte(raw), &r); err != nil {
			t.Fatal(err)
		}
		if !seen[r.Hostname] {
			records = append(records, cloudflaretest.Record{Type: "CNAME", Name: r.Hostname, Content: p.tunnel + ".cfargotunnel.com", Proxied: true, TTL: 1})
		}
		seen[r.Hostname] = true
	}
	p.api.EditRecords(zone, func([]cloudflaretest.Record) []cloudflaretest.Record { return records })
	config := `{"ingress":[` + strings.Join(append(rules, `{"service":"http_status:404"}`), ",") + `]}`
	if err := p.api.EditConfiguration(p.tunnel, json.RawMessage(config)); err != nil {
		t.Fatal(err)
	}
}

func rule(hostname, path, service, origin string) string {
	return fmt.Sprintf(`{"hostname":%q,"path":%q,"service":%q,"originRequest":%s}`, hostname, path, service, origin)
}

// A running connector.
type running struct {
	*connector.Connector
	stop context.CancelFunc
	done chan struct{}
}

// start starts a connector of the tunnel and waits until its connections are up.
func (p *place) start(t *testing.T, id string) *running {
	t.Helper()
	return p.via(t, id, p.at)
}

// via starts a connector whose way to the edge is an address.
func (p *place) via(t *testing.T, id, address string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{stop: stop, done: make(chan struct{}), Connector: connector.New(connector.Options{
		ID: id, Token: p.api.ConnectorToken(p.tunnel), Log: slog.New(slog.DiscardHandler), Grace: 5 * time.Second,
		Find: func(context.Context) ([]string, error) { return []string{address}, nil },
	})}
	go func() {
		defer close(r.done)
		r.Run(ctx)
	}()
	t.Cleanup(func() { stop(); <-r.done })
	eventually(t, id+" has its connections at the edge", func() bool { return p.connections(id) == 4 })
	return r
}

// connections asks the edge how many a connector has.
func (p *place) connections(id string) (n int) {
	for _, c := range p.Connections(p.tunnel) {
		if c.Connector == id {
			n++
		}
	}
	return n
}

func (r *running) ask(t *testing.T, path string, into any) int {
	t.Helper()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Fatalf("%s: %v: %s", path, err, w.Body)
	}
	return w.Code
}

// version waits until the connector has the newest configuration.
func (r *running) version(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the connector has version %d", want), func() bool {
		var c connector.Configuration
		r.ask(t, "/config", &c)
		return c.Version == want
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(limit) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (p *place) get(t *testing.T, url string, header http.Header) (status int, body string, h http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	resp, err := p.browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(said), resp.Header
}

// echo is a service that shows what it got.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s %s", name, r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("Cf-Access-Authenticated-User-Email"))
	})
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRequestsReachServices(t *testing.T) {
	p := newPlace(t)
	app, other := serve(t, echo("app")), serve(t, echo("other"))
	secure := httptest.NewTLSServer(echo("secure"))
	t.Cleanup(secure.Close)
	c := p.start(t, "one")
	p.publish(t,
		rule("app.example.com", "^/admin", "http_status:403", "{}"), rule("app.example.com", "", app, "{}"),
		rule("*.wild.example.com", "", other, `{"httpHostHeader":"inside"}`),
		rule("secure.example.com", "", secure.URL, "{}"), rule("trusting.example.com", "", secure.URL, `{"noTLSVerify":true}`),
		rule("ssh.example.com", "", "ssh://127.0.0.1:22", "{}"), rule("gone.example.com", "", "http://127.0.0.1:1", "{}"))
	c.version(t, 1)
	for _, test := range []struct {
		url    string
		status int
		body   string
	}{
		{"https://app.example.com/a?b=c", 200, "app GET app.example.com /a?b=c "},
		{"http://app.example.com/", 200, "app GET app.example.com / "},
		{"https://app.example.com/admin/x", 403, ""},
		{"https://a.b.wild.example.com/", 200, "other GET inside / "},
		{"https://secure.example.com/", 502, "Unable to reach the origin service"},
		{"https://trusting.example.com/", 200, "secure GET trusting.example.com / "},
		{"https://ssh.example.com/", 502, "HTTP services alone"},
		{"https://gone.example.com/", 502, "Unable to reach the origin service"},
		{"https://none.example.com/", 530, "1016"},
	} {
		if status, body, _ := p.get(t, test.url, nil); status != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s: %d %q, want %d %q", test.url, status, body, test.status, test.body)
		}
	}
	if got := p.Counts()["app.example.com"]; got != (edge.Count{Requests: 3, Served: 3}) {
		t.Errorf("counts: %+v", got)
	}
	if got := p.Counts()["gone.example.com"]; got != (edge.Count{Requests: 1, Served: 1, Failed: 1}) {
		t.Errorf("counts: %+v", got)
	}
}

// TestContract has what cloudflared promises at --metrics, and what Cloudflare lists.
func TestContract(t *testing.T) {
	p := newPlace(t)
	p.publish(t, rule("app.example.com", "", "http://app", "{}"))
	type ready struct {
		Status           int
		ReadyConnections int
		ConnectorID      string `json:"connectorId"`
	}
	idle := &running{Connector: connector.New(connector.Options{ID: "idle", Token: p.api.ConnectorToken(p.tunnel)})}
	var got ready
	if code := idle.ask(t, "/ready", &got); code != 503 || got != (ready{503, 0, "idle"}) {
		t.Errorf("without a connection: %d %+v", code, got)
	}
	var config connector.Configuration
	if idle.ask(t, "/config", &config); config.Version != -1 {
		t.Errorf("before the first configuration: version %d", config.Version)
	}
	c := p.start(t, "one")
	if code := c.ask(t, "/ready", &got); code != 200 || got != (ready{200, 4, "one"}) {
		t.Errorf("connected: %d %+v", code, got)
	}
	if c.ask(t, "/config", &config); config.Version != 1 || string(config.Config) != string(p.api.Configuration(p.tunnel)) {
		t.Errorf("got version %d: %s", config.Version, config.Config)
	}
	if all := p.Connections(p.tunnel); len(all) != 4 || all[0].Config != 1 || all[0].Version != connector.Version {
		t.Errorf("Cloudflare lists %+v", all)
	}
}

func TestAConnectorWithTheWrongTokenStaysOut(t *testing.T) {
	p := newPlace(t)
	old := p.api.ConnectorToken(p.tunnel)
	p.api.RenewToken(p.tunnel)
	ctx, stop := context.WithCancel(t.Context())
	var said lines
	c := connector.New(connector.Options{
		ID: "late", Token: old, Log: slog.New(slog.NewTextHandler(&said, nil)), Connections: 1,
		Find: func(context.Context) ([]string, error) { return []string{p.at}, nil },
	})
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	eventually(t, "it says why", func() bool { return strings.Contains(said.String(), "Invalid tunnel secret") })
	if n := p.connections("late"); n != 0 {
		t.Errorf("it has %d connections", n)
	}
	stop()
	<-done
}

// lines is a buffer for several writers.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestConfigurationsArriveInOrder writes faster than they are sent: the last one counts, and
// one that is refused changes nothing.
func TestConfigurationsArriveInOrder(t *testing.T) {
	p := newPlace(t)
	c := p.start(t, "one")
	const last = 60
	for i := range last {
		p.publish(t, rule("app.example.com", "", fmt.Sprintf("http_status:%d", 200+i), "{}"))
	}
	c.version(t, last)
	if status, _, _ := p.get(t, "https://app.example.com/", nil); status != 200+last-1 {
		t.Errorf("status %d, not the last configuration's", status)
	}
	eventually(t, "Cloudflare knows it", func() bool {
		return !slices.ContainsFunc(p.Connections(p.tunnel), func(c cloudflaretest.Connection) bool { return c.Config != last })
	})
}

// TestAKilledConnector has a request under way fail, and the next go to the replica.
func TestAKilledConnector(t *testing.T) {
	p := newPlace(t)
	asked, release := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(release) })
	slow := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(asked)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
	}))
	p.publish(t, rule("app.example.com", "", slow, "{}"))
	proxy := cut(t, p.at)
	killed := p.via(t, "killed", proxy.address)
	answer := make(chan int)
	go func() {
		defer close(answer)
		status, _, _ := p.get(t, "https://app.example.com/slow", nil)
		answer <- status
	}()
	select {
	case <-asked:
	case got := <-answer:
		t.Fatalf("the request under way got %d before the cut", got)
	}
	proxy.cut()
	if got := <-answer; got != http.StatusBadGateway {
		t.Errorf("the request under way got %d", got)
	}
	eventually(t, "the edge sees it", func() bool { return p.connections("killed") == 0 })
	if status, _, _ := p.get(t, "https://app.example.com/", nil); status != 530 {
		t.Errorf("without a connector: %d", status)
	}
	p.start(t, "replica")
	if status, _, _ := p.get(t, "https://app.example.com/", nil); status != 200 {
		t.Errorf("the replica: %d", status)
	}
	proxy.mend()
	eventually(t, "it is back", func() bool { return p.connections("killed") == 4 })
	killed.version(t, 1)
}

// TestADrainedReplica ends one of two connectors under load.
func TestADrainedReplica(t *testing.T) {
	p := newPlace(t)
	app := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(20 * time.Millisecond) }))
	p.publish(t, rule("app.example.com", "", app, "{}"))
	first := p.start(t, "first")
	var watches []*edge.Watch
	for range 8 {
		watches = append(watches, edge.Probe{Client: p.browser, URL: "https://app.example.com/", Every: time.Millisecond}.Start(t.Context()))
	}
	p.start(t, "second")
	eventually(t, "both serve", func() bool { by := p.ServedBy(); return by["first"] > 50 && by["second"] > 50 })
	first.stop()
	<-first.done
	before := p.ServedBy()
	eventually(t, "the second serves on", func() bool { return p.ServedBy()["second"] > before["second"]+50 })
	if after := p.ServedBy()["first"]; after != before["first"] {
		t.Errorf("the drained one got %d requests more", after-before["first"])
	}
	asked, failed := 0, 0
	for _, w := range watches {
		r := w.Stop()
		asked, failed = asked+r.Asked, failed+r.Failed
		if r.Failed > 0 {
			t.Error(r, r.LastFailure)
		}
	}
	t.Logf("%d requests, %d failed, by connector %v", asked, failed, p.ServedBy())
}

// A cutter is a line that can be cut.
type cutter struct {
	address string
	mu      sync.Mutex
	conns   []net.Conn
	down    bool
}

func cut(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c := &cutter{address: ln.Addr().String()}
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			c.lead(in, to)
		}
	}()
	return c
}

func (c *cutter) lead(in net.Conn, to string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, err := net.Dial("tcp", to)
	if err != nil || c.down {
		in.Close()
		return
	}
	c.conns = append(c.conns, in, out)
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1]) // until it is cut, or over
			pair[0].Close()
		}()
	}
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = true
	for _, conn := range c.conns {
		conn.Close()
	}
}

func (c *cutter) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = false
}
