package publish

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/route"
)

var (
	worldSeed = flag.Uint64("worlds.seed", 0, "the first world's seed; 0 for any")
	worldSize = flag.Int("worlds", 500, "how many worlds; 2000 for an acceptance")
)

type tally struct {
	sync.Mutex
	steps, faults, passes, opened int
}

// TestRoutesConverge lets random worlds happen. When they are calm again, Cloudflare has what
// is wanted, foreign objects are as they were, and at no call a protected hostname had become
// reachable unprotected.
func TestRoutesConverge(t *testing.T) {
	seed := *worldSeed
	if seed == 0 {
		seed = rand.Uint64() >> 16
	}
	n := *worldSize
	if testing.Short() {
		n = min(n, 200)
	}
	var sum tally
	t.Cleanup(func() {
		t.Logf("%d worlds from seed %d: %d passes, %d calls, %d faults, %d moments at which a protected hostname was reachable unprotected", n, seed, sum.passes, sum.steps, sum.faults, sum.opened)
	})
	const lanes = 4
	for lane := range lanes {
		t.Run(fmt.Sprint("lane ", lane), func(t *testing.T) {
			t.Parallel()
			for i := lane; i < n && !t.Failed(); i += lanes {
				synctest.Test(t, func(t *testing.T) { live(t, seed+uint64(i), &sum) })
			}
		})
	}
}

// TestWorldsThatFailed has one in which a protected wildcard was taken off by hand and by its host, and a wildcard
// record above it then led to the rule that the connector still had.
func TestWorldsThatFailed(t *testing.T) {
	for _, seed := range []uint64{278645044319182} {
		synctest.Test(t, func(t *testing.T) { live(t, seed, &tally{}) })
	}
}

func live(t *testing.T, seed uint64, sum *tally) {
	w := newWorld(t, seed)
	passes := 0
	for range 4 + w.rng.IntN(10) {
		for range 1 + w.rng.IntN(2) {
			w.event()
		}
		i := w.rng.IntN(2)
		_, _ = w.pass(i) // it may fail
		passes++
		<-time.After(mostLag + time.Duration(w.rng.IntN(120))*time.Second)
		w.inspect("the end of a pass")
	}
	w.quiet()
	passes += 6
	if !t.Failed() {
		w.check()
	}
	sum.Lock()
	defer sum.Unlock()
	sum.steps, sum.faults, sum.passes, sum.opened = sum.steps+w.steps, sum.faults+w.faults, sum.passes+passes, sum.opened+len(w.opened)
	if len(w.opened) > 0 {
		t.Errorf("seed %d: reachable unprotected: %s", seed, w.opened)
	}
	if t.Failed() {
		t.Logf("repeat it with -run TestRoutesConverge -worlds 1 -worlds.seed %d:\n%s", seed, strings.Join(w.trace, "\n"))
	}
}

// quiet ends the storm and lets both hosts look.
func (w *world) quiet() {
	w.calm = true
	for _, h := range w.hosts {
		w.s.Disconnect(h.tunnel, false)
	}
	w.excuse()
	for range 3 {
		<-time.After(11 * time.Minute)
		for i := range w.hosts {
			if _, err := w.pass(i); err != nil {
				w.t.Errorf("seed %d: %s: %v", w.seed, w.hosts[i].name, err)
			}
		}
	}
	<-time.After(time.Minute)
}

func (w *world) check() {
	for i := range w.hosts {
		n := len(w.s.Calls())
		if _, err := w.pass(i); err != nil {
			w.t.Error(err)
		}
		w.noWrites(n, "an idle pass of "+w.hosts[i].name)
	}
	if open := w.exposed(); len(open) > 0 {
		w.t.Errorf("seed %d: reachable unprotected at the end: %v", w.seed, open)
	}
	w.checkForeign()
	for i := range w.hosts {
		w.checkHost(i)
	}
	w.checkNothingElse()
	w.ghosts()
}

func (w *world) noWrites(from int, who string) {
	for _, c := range w.s.Calls()[from:] {
		if c.Writes() {
			w.t.Errorf("seed %d: %s: %s %s", w.seed, who, c.Method, c.Path)
		}
	}
}

// checkForeign compares what is not Salvor's with how people left it.
func (w *world) checkForeign() {
	for zone, records := range w.foreign.records {
		got := map[string]cloudflaretest.Record{}
		for _, r := range w.s.Records(zone) {
			if records[r.ID].ID != "" {
				got[r.ID] = r
			}
		}
		if diff := cmp.Diff(records, got); diff != "" {
			w.t.Errorf("seed %d: foreign records of %s: %s", w.seed, zone, diff)
		}
	}
	got := map[string]string{}
	for _, raw := range w.s.Apps() {
		if domain := domainOf(raw); w.foreign.apps[domain] != "" {
			got[domain] = string(raw)
		}
	}
	if diff := cmp.Diff(w.foreign.apps, got); diff != "" {
		w.t.Errorf("seed %d: foreign applications: %s", w.seed, diff)
	}
	for _, h := range w.hosts {
		if want := w.foreign.rules[h.tunnel]; want != nil {
			if diff := cmp.Diff(want, w.foreignRules(h)); diff != "" {
				w.t.Errorf("seed %d: foreign rules of %s: %s", w.seed, h.name, diff)
			}
		}
	}
}

func domainOf(app json.RawMessage) string {
	var a struct{ Domain string }
	_ = json.Unmarshal(app, &a)
	return a.Domain
}

// blocked reports whether a person has a record of a hostname.
func (w *world) blocked(hostname string) bool {
	for _, records := range w.foreign.records {
		for _, r := range records {
			if r.Name == hostname && r.Type != "TXT" {
				return true
			}
		}
	}
	return false
}

// wanted returns the routes of a host that are to be there, without Compare.
func (w *world) wanted(i int) (routes []route.Owned) {
	for _, o := range w.desired(i).Routes {
		_, theirs := w.foreign.apps[o.Route.Domain()]
		if !w.blocked(o.Route.Hostname) && (!theirs || !o.Route.Access.Protects()) {
			routes = append(routes, o)
		}
	}
	return routes
}

// checkHost compares a host's records, rules and applications with what is wanted.
func (w *world) checkHost(i int) {
	h := w.hosts[i]
	rules := map[string]string{}
	for _, raw := range w.s.Rules(h.tunnel) {
		var r struct{ Hostname, Path, Service string }
		_ = json.Unmarshal(raw, &r)
		if r.Hostname != "" && w.stackOf(r.Hostname) != nil && w.has(i, r.Hostname) && !w.blocked(r.Hostname) && r.Service != "http_status:503" {
			rules[r.Hostname+r.Path] = r.Service
		}
	}
	want := map[string]string{}
	for _, o := range w.wanted(i) {
		want[o.Route.Hostname+o.Route.Path] = o.Route.Service
		w.checkRecord(i, o)
		w.checkAccess(o)
	}
	if diff := cmp.Diff(want, rules); diff != "" {
		w.t.Errorf("seed %d: rules of %s: %s", w.seed, h.name, diff)
	}
}

func (w *world) checkRecord(i int, o route.Owned) {
	var found []cloudflaretest.Record
	for _, zone := range []string{zoneOne, zoneTwo} {
		for _, r := range w.s.Records(zone) {
			if r.Name == o.Route.Hostname && r.Type != "TXT" {
				found = append(found, r)
			}
		}
	}
	mark := fmt.Sprintf("salvor:home/%s/%d", o.Owner, w.desired(i).Owners[o.Owner])
	if len(found) != 1 || found[0].Type != "CNAME" || found[0].Content != w.hosts[i].tunnel+".cfargotunnel.com" || found[0].Comment != mark || !found[0].Proxied {
		w.t.Errorf("seed %d: records of %s: %+v, want one marked %s", w.seed, o.Route.Hostname, found, mark)
	}
}

func (w *world) checkAccess(o route.Owned) {
	hostname, path := visited(o.Route)
	got := w.s.Visit(hostname, path)
	switch a := o.Route.Access; {
	case a == nil:
		return // another route's application may be for it
	case a.Protects():
		if !got.Denied {
			w.t.Errorf("seed %d: %s%s is protected: %+v", w.seed, hostname, path, got)
		}
	case w.foreign.apps[o.Route.Domain()] == "":
		if got.Service != o.Route.Service {
			w.t.Errorf("seed %d: %s%s is for everyone: %+v, want %s", w.seed, hostname, path, got, o.Route.Service)
		}
	}
}

// checkNothingElse looks for what no route wants any more.
func (w *world) checkNothingElse() {
	records, apps := map[string]bool{}, map[string]bool{}
	for i := range w.hosts {
		for _, o := range w.wanted(i) {
			records[o.Route.Hostname] = true
		}
		for _, o := range w.desired(i).Routes {
			if o.Route.Access != nil {
				apps[o.Route.Domain()] = true
			}
		}
	}
	for _, zone := range []string{zoneOne, zoneTwo} {
		for _, r := range w.s.Records(zone) {
			if strings.HasPrefix(r.Comment, "salvor:home/") && !records[r.Name] {
				w.t.Errorf("seed %d: a record is left: %+v", w.seed, r)
			}
		}
	}
	for _, raw := range w.s.Apps() {
		domain := domainOf(raw)
		host, _, _ := strings.Cut(domain, "/")
		if !apps[domain] && w.foreign.apps[domain] == "" && !w.blocked(host) {
			w.t.Errorf("seed %d: an application is left: %s", w.seed, raw)
		}
	}
}

// ghosts lets hosts come back that had stacks before and do not know that they lost them.
func (w *world) ghosts() {
	for _, st := range w.stacks {
		if st.before == nil {
			continue
		}
		d := st.before.d
		published := map[string]bool{}
		for _, o := range w.wanted(st.host) {
			if o.Owner == st.name {
				o.Route.Access, o.Route.Service = w.access(), "http://ghost"
				published[o.Route.Hostname] = true
				d.Routes = append(d.Routes, o)
			}
		}
		p := &Publisher{API: st.before.p.API, Connector: st.before.p.Connector, Sent: &memory{slices.Collect(maps.Keys(published))}}
		n := len(w.s.Calls())
		if _, err := p.Pass(w.t.Context(), d); err != nil {
			w.t.Error(err)
		}
		w.noWrites(n, "the former host of "+st.name)
	}
}
