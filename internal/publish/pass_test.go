package publish

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/finding"
	"salvor/internal/route"
	"salvor/internal/secret"
)

const token = "cfat_test"

// memory is a Sent in memory.
type memory struct{ hostnames []string }

func (m *memory) Load() ([]string, error) { return m.hostnames, nil }

func (m *memory) Save(hostnames []string) error {
	m.hostnames = hostnames
	return nil
}

// A bench is a host with a tunnel at an emulated Cloudflare.
type bench struct {
	*cloudflaretest.Server
	*Publisher
	Desired
}

func newBench(t testing.TB, zones ...string) *bench {
	t.Helper()
	s := &cloudflaretest.Server{}
	s.AddToken(token, cloudflaretest.All)
	for _, z := range zones {
		s.AddZone(z)
	}
	b := &bench{Server: s, Desired: Desired{Fleet: "home", Owners: map[string]int{"notes": 3}}}
	b.Publisher = newHost(t, s, &b.Desired, "alpha", 50*time.Millisecond)
	return b
}

func newHost(t testing.TB, s *cloudflaretest.Server, d *Desired, name string, lag time.Duration) *Publisher {
	t.Helper()
	api, err := cloudflare.New(cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString(token), Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	d.Tunnel = cloudflare.Tunnel{ID: s.AddTunnel(name, lag), Name: name}
	return &Publisher{API: api, Connector: s.Connector(d.Tunnel.ID), Sent: &memory{}}
}

func (b *bench) want(routes ...route.Route) {
	b.Routes = nil
	for _, r := range routes {
		b.Routes = append(b.Routes, route.Owned{Owner: "notes", Route: r})
	}
}

func (b *bench) pass(t *testing.T) Report {
	t.Helper()
	r, err := b.Pass(t.Context(), b.Desired)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) writes() []string {
	var all []string
	for _, c := range b.Calls() {
		if c.Writes() {
			path := strings.Split(c.Path, "/")
			all = append(all, c.Method+" "+path[len(path)-1])
		}
	}
	return all
}

func plain(hostname string) route.Route {
	return route.Route{Hostname: hostname, Service: "http://app:80"}
}

func protected(hostname string) route.Route {
	r := plain(hostname)
	r.Access = &route.Access{Groups: []string{"staff"}, Session: "24h", Policies: []route.Policy{{Name: "staff", Decision: route.Allow, Include: []route.Match{{Email: "a@example.com"}}}}}
	return r
}

func TestAHostnameIsPublishedAndTakenOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.want(protected("app.example.com"), plain("open.example.com"))
		b.Seen = func(cloudflaretest.Call) {
			if o := b.Visit("app.example.com", "/"); o.Reached() {
				t.Errorf("it is reached unprotected: %+v", o)
			}
		}
		if r := b.pass(t); !slices.Equal(r.Live, []string{"app.example.com", "open.example.com"}) || len(r.Findings) > 0 {
			t.Errorf("%+v", r)
		}
		want := []string{"POST tags", "POST apps", "PUT configurations", "POST batch"}
		if diff := cmp.Diff(want, b.writes()); diff != "" {
			t.Error(diff)
		}
		if !b.Visit("app.example.com", "/").Denied || b.Visit("open.example.com", "/").Service != "http://app:80" {
			t.Error("it does not answer")
		}
		comments := map[string]bool{}
		for _, r := range b.Records("example.com") {
			comments[r.Comment] = true
		}
		if !comments["salvor:home/notes/3"] || len(comments) != 1 {
			t.Errorf("%v", comments)
		}
		b.want()
		b.pass(t)
		n := len(b.Apps()) + len(b.Records("example.com"))
		if diff := cmp.Diff(slices.Concat(want, []string{"PUT configurations", "POST batch"}), b.writes()[:6]); diff != "" || n != 0 {
			t.Errorf("%d objects are left; %s", n, diff)
		}
	})
}

func TestWhatIsForeignStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		config := `{"originRequest":{"connectTimeout":3},"ingress":[{"hostname":"nas.example.com","service":"http://nas"},{"hostname":"*.example.com","service":"http://proxy"},{"service":"http_status:418"}],"warp-routing":{"enabled":true}}`
		if err := b.EditConfiguration(b.Tunnel.ID, json.RawMessage(config)); err != nil {
			t.Fatal(err)
		}
		before := string(b.Configuration(b.Tunnel.ID))
		b.EditRecords("example.com", func([]cloudflaretest.Record) []cloudflaretest.Record {
			return []cloudflaretest.Record{{Type: "A", Name: "taken.example.com", Content: "192.0.2.1", TTL: 60}, {Type: "CNAME", Name: "newer.example.com", Content: "x", TTL: 1, Comment: "salvor:home/notes/4"},
				{Type: "CNAME", Name: "other.example.com", Content: "x", TTL: 1, Comment: "salvor:home/wiki/1"}, {Type: "TXT", Name: "app.example.com", Content: "v=1", TTL: 1}}
		})
		records := b.Records("example.com")
		b.want(plain("app.example.com"), plain("taken.example.com"), plain("newer.example.com"), plain("other.example.com"), plain("nas.example.com"), plain("none.example.org"))
		r := b.pass(t)
		if len(r.Findings) != 5 || !slices.Equal(r.Live, []string{"app.example.com"}) {
			t.Errorf("%+v", r)
		}
		if got := string(b.Rules(b.Tunnel.ID)[0]); !strings.Contains(got, "app.example.com") {
			t.Errorf("the wildcard comes first: %s", got)
		}
		b.want()
		b.pass(t)
		if diff := cmp.Diff(before, string(b.Configuration(b.Tunnel.ID))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(records, b.Records("example.com")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWithoutProtectionNothingIsPublished(t *testing.T) {
	for name, spoil := range map[string]func(*bench){
		"the token may not": func(b *bench) {
			b.AddToken(token, "Zone: Zone: Read, Zone: DNS: Edit, Account: Cloudflare Tunnel: Edit")
		},
		"it is refused": func(b *bench) {
			b.Fail(cloudflaretest.Fault{Method: "PUT", Path: "/apps/", Status: 400}, cloudflaretest.Fault{Method: "POST", Path: "/apps", Status: 400})
		},
		"the API is down": func(b *bench) {
			for range 8 {
				b.Fail(cloudflaretest.Fault{Method: "PUT", Path: "/apps", Status: 500}, cloudflaretest.Fault{Method: "POST", Path: "/apps", Status: 500})
			}
		},
		"a person's application is there": func(b *bench) {
			b.EditApps(func([]json.RawMessage) []json.RawMessage {
				return []json.RawMessage{json.RawMessage(`{"name":"x","type":"self_hosted","domain":"app.example.com","policies":[]}`)}
			})
		},
		"the provider is unknown": func(b *bench) { b.Routes[0].Route.Access.Providers = []string{"google"} },
		"it has no policy":        func(b *bench) { b.Routes[0].Route.Access.Policies = nil },
		"the zone is not protected": func(b *bench) {
			b.Routes[0].Route.Access = &route.Access{OfZone: true}
		},
	} {
		for _, was := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, published before: %v", name, was), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t, "example.com")
					b.want(protected("app.example.com"), plain("open.example.com"))
					if was {
						b.pass(t)
						b.Routes[0].Route.Access.Session = "1h"
					}
					spoil(b)
					r := b.pass(t)
					if !slices.Equal(r.Live, []string{"open.example.com"}) || len(r.Findings) != 1 || r.Findings[0].Code != finding.RouteClosed {
						t.Errorf("%+v", r)
					}
					if rules := b.Rules(b.Tunnel.ID); len(rules) != 2 || len(b.Records("example.com")) != 1 {
						t.Errorf("%s, %v", rules, b.Records("example.com"))
					}
				})
			})
		}
	}
}

func TestTheBrake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		var routes []route.Route
		for i := range 20 {
			routes = append(routes, plain(fmt.Sprintf("h%d.example.com", i)))
		}
		b.want(routes...)
		b.pass(t)
		before := string(b.Configuration(b.Tunnel.ID))
		for _, test := range []struct {
			keep  int
			shown bool
			left  int
		}{{14, false, 14}, {8, false, 14}, {8, true, 8}, {3, false, 3}} {
			b.want(routes[:test.keep]...)
			b.Shown = test.shown
			r := b.pass(t)
			braked := slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.Code == finding.RoutesKept })
			if left := len(b.Records("example.com")); left != test.left || braked != (test.left > test.keep) || len(b.Rules(b.Tunnel.ID)) != left+1 {
				t.Errorf("%d are wanted, %d are left: %+v", test.keep, left, r)
			}
			if test.keep == 14 {
				before = string(b.Configuration(b.Tunnel.ID))
			}
			if braked && string(b.Configuration(b.Tunnel.ID)) != before {
				t.Errorf("the rules changed: %s", b.Configuration(b.Tunnel.ID))
			}
		}
	})
}

func TestTheConnectorComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.want(plain("app.example.com"))
		b.Disconnect(b.Tunnel.ID, true)
		if r := b.pass(t); len(r.Live) != 0 || !slices.Equal(r.Waiting, []string{"app.example.com"}) || len(b.Records("example.com")) != 0 {
			t.Errorf("%+v", r)
		}
		b.Disconnect(b.Tunnel.ID, false)
		if r := b.pass(t); len(r.Live) != 1 {
			t.Errorf("%+v", r)
		}
	})
}

// TestTheNewHostTakesOver: the old host's record leads to it until the new one's rules are
// live, and then the old host changes nothing.
func TestTheNewHostTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.want(protected("app.example.com"))
		b.pass(t)
		next := b.Desired
		next.Owners = map[string]int{"notes": 4}
		host := newHost(t, b.Server, &next, "beta", 50*time.Millisecond)
		if _, err := host.Pass(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		r := b.Records("example.com")
		if len(r) != 1 || r[0].Content != next.Tunnel.Target() || r[0].Comment != "salvor:home/notes/4" || !b.Visit("app.example.com", "/").Denied {
			t.Errorf("%+v", r)
		}
		n := len(b.writes())
		b.Routes[0].Route.Access.Session = "1h"
		b.pass(t)
		b.want()
		b.pass(t)
		if got := b.writes(); len(got) != n {
			t.Errorf("the old host wrote: %v", got[n:])
		}
	})
}

func TestCallsAreFew(t *testing.T) {
	for _, test := range []struct{ hostnames, most int }{{1, 12}, {50, 12}, {1000, 25}} {
		t.Run(fmt.Sprint(test.hostnames), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "example.com")
				var routes []route.Route
				for i := range test.hostnames {
					routes = append(routes, plain(fmt.Sprintf("h%d.example.com", i)))
				}
				b.want(routes...)
				if r := b.pass(t); len(r.Live) != test.hostnames {
					t.Fatalf("%+v", r)
				}
				first := len(b.Calls())
				b.pass(t)
				idle := len(b.Calls()) - first
				t.Logf("%d hostnames: %d calls, then %d", test.hostnames, first, idle)
				if first > test.most || idle > 3 {
					t.Errorf("%d calls for %d hostnames, want at most %d; %d in an idle pass, want at most 3", first, test.hostnames, test.most, idle)
				}
			})
		})
	}
}

// TestAnIdlePassReadsUsedZones has zones without a hostname.
func TestAnIdlePassReadsUsedZones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com", "example.org", "example.net", "a.example")
		b.want(protected("app.example.com"), protected("app.example.org"))
		b.pass(t)
		n := len(b.Calls())
		b.pass(t)
		if idle := len(b.Calls()) - n; idle != 4 {
			t.Errorf("%d calls, want 2 and one for each of 2 zones", idle)
		}
		b.want(protected("app.example.com"))
		b.pass(t)
		if len(b.Records("example.org")) != 0 {
			t.Error("the other zone's record is left")
		}
	})
}

func TestManyTakeAsLongAsOne(t *testing.T) {
	took := func(n int, make func(string) route.Route) (d time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			b.Weather = func(string, string) cloudflaretest.Fault { return cloudflaretest.Fault{Delay: 200 * time.Millisecond} }
			var routes []route.Route
			for i := range n {
				routes = append(routes, make(fmt.Sprintf("h%d.example.com", i)))
			}
			b.want(routes...)
			begin := time.Now()
			b.pass(t)
			d = time.Since(begin)
		})
		return d
	}
	for name, make := range map[string]func(string) route.Route{"plain": plain, "protected": protected} {
		one, many := took(1, make), took(50, make)
		t.Logf("%s: one takes %v, 50 take %v, %.2f of 50 times one", name, one, many, float64(many)/float64(50*one))
		if many > 5*one {
			t.Errorf("%s: 50 take %v, one takes %v", name, many, one)
		}
	}
}

func TestALongMarkIsHashed(t *testing.T) {
	long := strings.Repeat("n", 90)
	d := Desired{Fleet: "home", Owners: map[string]int{long: 1 << 40, "notes": 7}}
	for owner := range d.Owners {
		text := d.mark(owner)
		m, ok := parseMark(text)
		if len(text) > cloudflare.MaxComment || !ok || d.marks()[m.owning] != owner || d.whose(d.marks(), m) != ours {
			t.Errorf("%s: %+v", text, m)
		}
	}
}

func FuzzMark(f *testing.F) {
	for _, seed := range []string{"salvor:home/notes/3", "salvor:#0a/12", "salvor:home/notes/03", "salvor:/", "salvor:home/notes/-1", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if m, ok := parseMark(text); ok && fmt.Sprintf("%s%d", m.owning, m.epoch) != text {
			t.Errorf("%q became %+v", text, m)
		}
	})
}

// TestWhatIsNotKnownToBeOursStays: while it can't be said whose a stack is, it is not among the
// owners. Its rules stay, however long that is.
func TestWhatIsNotKnownToBeOursStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com", "example.org")
		b.want(plain("app.example.com"))
		b.pass(t)
		writes := len(b.writes())
		b.Owners = map[string]int{"host.alpha": 1}
		b.want()
		for range 5 {
			b.pass(t)
		}
		if n := len(b.writes()) - writes; n > 0 || !b.Visit("app.example.com", "/").Reached() {
			t.Errorf("%d writing calls: %v", n, b.writes())
		}
	})
}

// TestAHostnameIsTakenOver: where the mark of a host's own route means nothing any more, the host
// that wants the hostname now replaces record and application in place. Nothing else of the former
// owner is touched, nor what has a newer mark.
func TestAHostnameIsTakenOver(t *testing.T) {
	for epoch, takes := range map[int]bool{1: true, 2: false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			b.Owners = map[string]int{"host.alpha": epoch}
			for _, r := range []route.Route{protected("nas.example.com"), plain("open.example.com"), plain("other.example.com")} {
				b.Routes = append(b.Routes, route.Owned{Owner: "host.alpha", Route: r})
			}
			b.pass(t)
			before := b.Records("example.com")
			next := Desired{Fleet: "home", Owners: map[string]int{"host.beta": 1}, Former: map[string]int{"host.alpha": 1}}
			beta := newHost(t, b.Server, &next, "beta", 50*time.Millisecond)
			for _, o := range b.Routes[:2] {
				next.Routes = append(next.Routes, route.Owned{Owner: "host.beta", Route: o.Route})
			}
			b.Seen = func(cloudflaretest.Call) {
				nas, open := b.Visit("nas.example.com", "/"), b.Visit("open.example.com", "/")
				if !nas.Denied || open.Service != "http://app:80" {
					t.Errorf("meanwhile: %+v, %+v", nas, open)
				}
			}
			r, err := beta.Pass(t.Context(), next)
			if want := map[bool][]string{true: {"nas.example.com", "open.example.com"}}[takes]; err != nil || !slices.Equal(r.Live, want) {
				t.Errorf("epoch %d: %+v, %v", epoch, r, err)
			}
			writes := len(b.writes())
			for _, is := range b.Records("example.com") {
				was := before[slices.IndexFunc(before, func(r cloudflaretest.Record) bool { return r.Name == is.Name })]
				if moved := is.Comment == "salvor:home/host.beta/1" && is.Content == next.Tunnel.Target(); moved != (takes && is.Name != "other.example.com") || !moved && !cmp.Equal(is, was) {
					t.Errorf("epoch %d: %+v was %+v", epoch, is, was)
				}
			}
			if _, err := beta.Pass(t.Context(), next); err != nil || len(b.writes()) > writes {
				t.Errorf("again: %v, %v", b.writes()[writes:], err)
			}
			if !takes {
				return
			}
			if _, err := b.Pass(t.Context(), Desired{Fleet: "home", Tunnel: b.Tunnel, Owners: b.Owners, Routes: b.Routes}); err != nil || len(b.writes()) > writes {
				t.Errorf("the former host changed %v, %v", b.writes()[writes:], err)
			}
		})
	}
}
