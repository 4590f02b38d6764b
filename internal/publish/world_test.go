package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/route"
)

// A world is two hosts with stacks that move, containers that come and go, people who edit
// the same account, and an API that fails.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand
	s      *cloudflaretest.Server
	hosts  []*worldHost
	stacks []*worldStack

	calm    bool
	end     context.CancelFunc // of the pass that runs
	left    int                // calls until it is interrupted; less than 0 for never
	foreign foreignObjects

	mu     sync.Mutex // guards what the server calls back for
	nth    map[string]int
	open   map[string]bool // protected, and reached unprotected by another's doing
	steps  int
	faults int
	opened []string
	trace  []string
}

type worldHost struct {
	name   string
	tunnel string
	sent   *memory
	p      *Publisher
	d      Desired
}

type worldStack struct {
	name       string
	epoch      int
	host       int
	before     *worldHost // that had it last, with its epoch
	containers []*container
}

type container struct {
	running bool
	port    int
	routes  []route.Route
}

// foreignObjects are those that must be as they were at the end.
type foreignObjects struct {
	records map[string]map[string]cloudflaretest.Record // by zone and ID
	apps    map[string]string                           // by domain
	rules   map[string][]string                         // by tunnel
}

const (
	zoneOne = "example.com"
	zoneTwo = "example.org"
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 17)), s: &cloudflaretest.Server{}, left: -1, nth: map[string]int{}, open: map[string]bool{}}
	w.s.AddToken(token, cloudflaretest.All)
	w.s.AddZone(zoneOne)
	w.s.AddZone(zoneTwo)
	w.foreign = foreignObjects{map[string]map[string]cloudflaretest.Record{zoneOne: {}, zoneTwo: {}}, map[string]string{}, map[string][]string{}}
	for _, name := range []string{"alpha", "beta"} {
		h := &worldHost{name: name, sent: &memory{}}
		h.p = newHost(t, w.s, &h.d, name, time.Duration(w.rng.Int64N(int64(mostLag))))
		h.p.Sent, h.tunnel, h.d.Fleet = h.sent, h.d.Tunnel.ID, "home"
		w.hosts = append(w.hosts, h)
		w.settle(h)
	}
	for i, name := range []string{"notes", "wiki", "files"} {
		st := &worldStack{name: name, epoch: 1 + w.rng.IntN(3), host: w.rng.IntN(2)}
		for j := range 2 + w.rng.IntN(3) {
			st.containers = append(st.containers, w.container(fmt.Sprintf("%s%d", name, j), i == 0 && j == 0))
		}
		w.stacks = append(w.stacks, st)
	}
	w.addRecord(zoneOne, cloudflaretest.Record{Type: "TXT", Name: "notes0." + zoneOne, Content: "hello", TTL: 1})
	w.addRecord(zoneOne, cloudflaretest.Record{Type: "CNAME", Name: "theirs." + zoneOne, Content: "x.example", TTL: 1, Comment: "salvor:other/notes/9"})
	if w.rng.IntN(2) == 0 {
		w.addRecord(zoneOne, cloudflaretest.Record{Type: "CNAME", Name: "*." + zoneOne, Content: w.hosts[0].d.Tunnel.Target(), Proxied: true, TTL: 1})
	}
	w.s.Weather, w.s.Seen = w.weather, w.seen
	return w
}

// settle gives a tunnel what a person has in it.
func (w *world) settle(h *worldHost) {
	if w.rng.IntN(3) == 0 {
		return
	}
	w.editConfig(h, func(c *config) {
		c.Later, c.Warp, c.Origin = json.RawMessage(`{"a": 1.0}`), json.RawMessage(`{"enabled":true}`), json.RawMessage(`{"connectTimeout": 3}`)
		c.Ingress = []json.RawMessage{
			json.RawMessage(`{"hostname":"nas.apps.example.com","service":"http://nas","originRequest":{"x-new": [1 ]}}`),
			json.RawMessage(`{"hostname":"*.example.com","service":"http://proxy","originRequest":{}}`),
			json.RawMessage(`{"service":"http_status:404","originRequest":{}}`),
		}
	})
}

// A config is a tunnel's configuration, as far as worlds have one.
type config struct {
	Later   json.RawMessage   `json:"later,omitempty"`
	Ingress []json.RawMessage `json:"ingress"`
	Origin  json.RawMessage   `json:"originRequest,omitempty"`
	Warp    json.RawMessage   `json:"warp-routing,omitempty"`
}

// editConfig lets a person change a tunnel's configuration.
func (w *world) editConfig(h *worldHost, edit func(*config)) {
	var c config
	if raw := w.s.Configuration(h.tunnel); string(raw) != "null" {
		if err := json.Unmarshal(raw, &c); err != nil {
			w.t.Fatal(err)
		}
	}
	edit(&c)
	if len(c.Ingress) == 0 {
		return
	}
	out := "{"
	for _, m := range []struct {
		name  string
		value json.RawMessage
	}{{"later", c.Later}, {"ingress", nil}, {"originRequest", c.Origin}, {"warp-routing", c.Warp}} {
		switch {
		case m.name == "ingress":
			var rules []string
			for _, r := range c.Ingress {
				rules = append(rules, string(r))
			}
			out += `"ingress":[` + strings.Join(rules, ",") + "],"
		case m.value != nil:
			out += fmt.Sprintf("%q:%s,", m.name, m.value)
		}
	}
	if err := w.s.EditConfiguration(h.tunnel, json.RawMessage(strings.TrimSuffix(out, ",")+"}")); err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
	w.foreign.rules[h.tunnel] = w.foreignRules(h)
}

// foreignRules returns what of a tunnel's configuration is not a stack's.
func (w *world) foreignRules(h *worldHost) []string {
	var c config
	if raw := w.s.Configuration(h.tunnel); json.Unmarshal(raw, &c) != nil || string(raw) == "null" {
		return nil
	}
	all := []string{string(c.Later), string(c.Origin), string(c.Warp)}
	for i, raw := range c.Ingress {
		if last := i == len(c.Ingress)-1; !last && w.stackOf(hostnameOf(raw)) == nil {
			all = append(all, string(raw))
		}
	}
	return all
}

func hostnameOf(rule json.RawMessage) string {
	var r struct{ Hostname string }
	_ = json.Unmarshal(rule, &r)
	return r.Hostname
}

func (w *world) stackOf(hostname string) *worldStack {
	for _, st := range w.stacks {
		for _, c := range st.containers {
			if c.routes[0].Hostname == hostname {
				return st
			}
		}
	}
	return nil
}

func (w *world) addRecord(zone string, r cloudflaretest.Record) {
	w.s.EditRecords(zone, func(all []cloudflaretest.Record) []cloudflaretest.Record { return append(all, r) })
	all := w.s.Records(zone)
	w.foreign.records[zone][all[len(all)-1].ID] = all[len(all)-1]
}

func (w *world) container(name string, wild bool) *container {
	zone := []string{zoneOne, zoneTwo}[w.rng.IntN(2)]
	hostname := name + "." + zone
	if wild {
		hostname = "*.apps." + zoneOne
	}
	c := &container{running: w.rng.IntN(4) > 0, port: 80, routes: []route.Route{{Hostname: hostname, Access: w.access()}}}
	if w.rng.IntN(3) == 0 {
		c.routes = append(c.routes, route.Route{Hostname: hostname, Path: "^/api(/|$)", Access: w.access()})
	}
	return c
}

// access is none, for everyone, or one of two that protect.
func (w *world) access() *route.Access {
	a := &route.Access{Groups: []string{"g"}, Session: "24h"}
	switch w.rng.IntN(5) {
	case 0, 1:
		return nil
	case 2:
		a.Policies = []route.Policy{{Name: "all", Decision: route.Bypass, Include: []route.Match{{Everyone: true}}}}
	case 3:
		a.Policies = []route.Policy{{Name: "staff", Decision: route.Allow, Include: []route.Match{{Email: "a@example.com"}, {Domain: "example.com"}}, Require: []route.Match{{Country: "DE"}}}}
	default:
		a.Policies = []route.Policy{{Name: "home", Decision: route.Bypass, Include: []route.Match{{IP: "192.0.2.0/24"}}}, {Name: "one", Decision: route.Allow, Include: []route.Match{{Email: "b@example.com"}}}}
	}
	return a
}

// desired is what a host wants now.
func (w *world) desired(i int) Desired {
	d := w.hosts[i].d
	d.Owners, d.Routes = map[string]int{}, nil
	for _, st := range w.stacks {
		if st.host != i {
			continue
		}
		d.Owners[st.name] = st.epoch
		for _, c := range st.containers {
			for _, r := range c.routes {
				r.Service = fmt.Sprintf("http://%s-%s:%d", w.hosts[i].name, st.name, c.port)
				if c.running {
					d.Routes = append(d.Routes, route.Owned{Owner: st.name, Route: r})
				}
			}
		}
	}
	return d
}

// visited is a hostname and path that a route is for.
func visited(r route.Route) (hostname, path string) {
	hostname, path = strings.Replace(r.Hostname, "*", "zz", 1), "/"
	if r.Path != "" {
		path = "/api"
	}
	return hostname, path
}

// exposed returns the protected routes that a visitor without identity reaches at the host
// that has their stack.
func (w *world) exposed() map[string]bool {
	found := map[string]bool{}
	for _, st := range w.stacks {
		for _, c := range st.containers {
			for _, r := range c.routes {
				hostname, path := visited(r)
				if r.Access.Protects() {
					if o := w.s.Visit(hostname, path); o.Reached() && strings.HasPrefix(o.Service, "http://"+w.hosts[st.host].name+"-") {
						found[hostname+path] = true
					}
				}
			}
		}
	}
	return found
}

// excuse notes what is open after something that no pass did.
func (w *world) excuse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = w.exposed()
}

// note keeps what happens for the report of a failure.
func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// inspect notes what has become open by a pass.
func (w *world) inspect(when string) {
	now := w.exposed()
	for name := range now {
		if !w.open[name] {
			w.opened = append(w.opened, name+", seen at "+when)
		}
	}
	w.open = now
}

// seen looks, after each call, at what a visitor reaches.
func (w *world) seen(call cloudflaretest.Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	w.note("%s %s: %d", call.Method, call.Path, call.Status)
	w.inspect(call.Method + " " + call.Path)
	if w.left--; w.left == 0 && w.end != nil {
		w.end()
	}
	if !w.calm && call.Method != http.MethodGet && !strings.Contains(call.Path, "/access/") && w.hash("edit", call.Path)%20 == 0 {
		w.editRecords(rand.New(rand.NewPCG(w.seed, uint64(w.steps))))
		w.open = w.exposed()
	}
}

func (w *world) hash(parts ...string) uint64 {
	key := strings.Join(parts, " ")
	w.nth[key]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, key, w.nth[key])
	return h.Sum64() >> 8
}

// weather lets one call in six fail.
func (w *world) weather(method, path string) cloudflaretest.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.hash(method, path)
	if w.calm || n%6 != 0 {
		return cloudflaretest.Fault{}
	}
	w.faults++
	n /= 6
	switch done := n/8%2 == 0; n % 8 {
	case 0, 1:
		return cloudflaretest.Fault{Status: 429, After: time.Duration(n/16%20) * time.Second}
	case 2, 3:
		return cloudflaretest.Fault{Status: 500, Done: done}
	case 4:
		return cloudflaretest.Fault{Cut: true, Done: done}
	case 5:
		return cloudflaretest.Fault{Delay: time.Minute, Done: done}
	case 6:
		return cloudflaretest.Fault{Status: 400}
	}
	return cloudflaretest.Fault{Delay: 3 * time.Second}
}

// pass runs a pass of a host, which may be interrupted.
func (w *world) pass(i int) (Report, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	w.mu.Lock()
	w.end, w.left = cancel, -1
	if !w.calm && w.rng.IntN(5) == 0 {
		w.left = 1 + w.rng.IntN(12)
	}
	w.mu.Unlock()
	d := w.desired(i)
	d.Shown = w.calm
	w.note("pass of %s: %v", w.hosts[i].name, d.Owners)
	return w.hosts[i].p.Pass(ctx, d)
}

// event lets something happen.
func (w *world) event() {
	st := w.stacks[w.rng.IntN(len(w.stacks))]
	c := st.containers[w.rng.IntN(len(st.containers))]
	h := w.hosts[w.rng.IntN(2)]
	kind := w.rng.IntN(12)
	w.note("event %d: stack %s, container of %s, host %s", kind, st.name, c.routes[0].Hostname, h.name)
	switch kind {
	case 0, 1:
		c.running = !c.running
	case 2:
		c.port++
	case 3:
		c.routes[w.rng.IntN(len(c.routes))].Access = w.access()
	case 4, 5:
		w.editRecords(w.rng)
	case 6:
		w.editApps()
	case 7:
		w.editConfig(h, w.editRules)
	case 8: // salvord starts again, with its disk
		h.p = &Publisher{API: h.p.API, Connector: h.p.Connector, Sent: h.sent}
	case 9:
		before := *w.hosts[st.host]
		before.d.Owners = map[string]int{st.name: st.epoch}
		st.before, st.host, st.epoch = &before, 1-st.host, st.epoch+1
	case 10:
		w.s.Disconnect(h.tunnel, w.rng.IntN(2) == 0)
	case 11:
		<-time.After(time.Duration(w.rng.IntN(90)) * time.Minute)
	}
	<-time.After(mostLag)
	w.excuse()
}

// mostLag is how long a connector takes at most to get a configuration.
const mostLag = 3 * time.Second

// editRecords lets a person remove, change or replace a record of Salvor's, or remove one of
// their own.
func (w *world) editRecords(rng *rand.Rand) {
	zone := []string{zoneOne, zoneTwo}[rng.IntN(2)]
	what := rng.IntN(4)
	w.s.EditRecords(zone, func(all []cloudflaretest.Record) []cloudflaretest.Record {
		var now []cloudflaretest.Record
		for _, r := range all {
			mine := strings.HasPrefix(r.Comment, "salvor:home/")
			stacks := w.stackOf(r.Name) != nil && r.Type != "TXT"
			switch hit := rng.IntN(3) == 0; {
			case hit && mine && what == 0:
				continue
			case hit && mine && what == 1:
				r.Content, r.Proxied = "elsewhere.example", false
			case hit && mine && what == 2:
				r.ID = fmt.Sprintf("person%d", rng.IntN(1<<30))
				r.Type, r.Content, r.Comment, r.Proxied = "A", "192.0.2.9", "mine", false
				w.foreign.records[zone][r.ID] = r
			case hit && !mine && stacks && what == 3:
				delete(w.foreign.records[zone], r.ID)
				continue
			}
			now = append(now, r)
		}
		return now
	})
}

// editApps lets a person remove or change an application of Salvor's, or make and remove
// one of their own.
func (w *world) editApps() {
	what := w.rng.IntN(5)
	w.s.EditApps(func(all []json.RawMessage) []json.RawMessage {
		var now []json.RawMessage
		taken := map[string]bool{}
		for _, raw := range all {
			var fields map[string]json.RawMessage
			var domain string
			_ = json.Unmarshal(raw, &fields)
			_ = json.Unmarshal(fields["domain"], &domain)
			_, theirs := w.foreign.apps[domain]
			hit := w.rng.IntN(3) == 0
			switch {
			case hit && what == 0 && !theirs:
				continue
			case hit && what == 1 && !theirs:
				var policies []map[string]json.RawMessage
				_ = json.Unmarshal(fields["policies"], &policies)
				for _, p := range policies {
					p["decision"], p["include"], p["require"] = json.RawMessage(`"bypass"`), json.RawMessage(`[{"everyone":{}}]`), json.RawMessage(`[]`)
				}
				fields["policies"], _ = json.Marshal(policies)
				raw, _ = json.Marshal(fields)
			case hit && what == 2 && !theirs:
				fields["session_duration"] = json.RawMessage(`"1h"`)
				raw, _ = json.Marshal(fields)
			case hit && what == 3 && theirs:
				delete(w.foreign.apps, domain)
				continue
			}
			taken[domain] = true
			now = append(now, raw)
		}
		st := w.stacks[w.rng.IntN(len(w.stacks))]
		r := st.containers[0].routes[0]
		if what == 4 && !taken[r.Domain()] {
			raw := fmt.Sprintf(`{"aud":"x","domain":%q,"id":"person%d","name":"mine","policies":[],"type":"self_hosted","z":[1]}`, r.Domain(), w.rng.IntN(1<<30))
			w.foreign.apps[r.Domain()] = raw
			now = append(now, json.RawMessage(raw))
		}
		return now
	})
}

// editRules lets a person remove or change a rule of Salvor's, or add one of their own.
func (w *world) editRules(c *config) {
	what := w.rng.IntN(4)
	var now []json.RawMessage
	for i, raw := range c.Ingress {
		hit := w.rng.IntN(3) == 0 && i < len(c.Ingress)-1 && w.stackOf(hostnameOf(raw)) != nil
		switch {
		case hit && what == 0:
			continue
		case hit && what == 1:
			raw = json.RawMessage(fmt.Sprintf(`{"hostname":%q,"service":"http://wrong"}`, hostnameOf(raw)))
		}
		now = append(now, raw)
	}
	if what == 2 && len(now) > 0 {
		now = append([]json.RawMessage{json.RawMessage(fmt.Sprintf(`{"hostname":"p%d.example.org","service":"http://person","id":"%d"}`, w.rng.IntN(1000), w.rng.IntN(9)))}, now...)
	}
	if what == 3 {
		c.Warp = json.RawMessage(fmt.Sprintf(`{"enabled":true,"n": %d}`, w.rng.IntN(100)))
	}
	c.Ingress = now
}

// hostOf returns which host has the hostname's stack.
func (w *world) has(i int, hostname string) bool {
	st := w.stackOf(hostname)
	return st != nil && st.host == i
}
