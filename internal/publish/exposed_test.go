package publish

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/route"
)

func ofZone(hostname string) route.Route {
	r := plain(hostname)
	r.Access = &route.Access{OfZone: true}
	return r
}

func bypassed(hostname string) route.Route {
	r := plain(hostname)
	r.Access = &route.Access{Groups: []string{"public"}, Session: "24h", Policies: []route.Policy{{Name: "public", Decision: route.Bypass, Include: []route.Match{{Everyone: true}}}}}
	return r
}

// TestAZonesApplicationReachesOneLevel: *.example.com is not for example.com, nor for names of two
// levels, and another application may be in front of it.
func TestAZonesApplicationReachesOneLevel(t *testing.T) {
	const zone = `{"name":"zone","type":"self_hosted","domain":"*.example.com","policies":[{"name":"a","decision":"allow","include":[{"email":{"email":"a@b"}}]}]}`
	const open = `,{"name":"open","type":"self_hosted","domain":"%s","policies":[{"name":"a","decision":"bypass","include":[{"everyone":{}}]}]}`
	for _, test := range []struct{ hostname, other, visited string }{
		{"example.com", "", "example.com/"},
		{"a.b.example.com", "", "a.b.example.com/"},
		{"*.example.com", "", "a.b.example.com/"},
		{"app.example.com", fmt.Sprintf(open, "app.example.com"), "app.example.com/"},
		{"app.example.com", fmt.Sprintf(open, "app.example.com/x"), "app.example.com/x"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			b.EditApps(func([]json.RawMessage) (apps []json.RawMessage) {
				if err := json.Unmarshal([]byte("["+zone+test.other+"]"), &apps); err != nil {
					t.Fatal(err)
				}
				return apps
			})
			b.want(ofZone(test.hostname))
			got := b.pass(t)
			host, path, _ := strings.Cut(test.visited, "/")
			if len(got.Live) != 0 || len(got.Findings) != 1 || b.Visit(host, "/"+path).Reached() {
				t.Errorf("%s with %s: %+v", test.hostname, test.other, got)
			}
		})
	}
}

// TestTheBrakeKeepsApplications: what keeps its rule keeps what protects it.
func TestTheBrakeKeepsApplications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		admin := protected("app.example.com")
		admin.Path, admin.Service = "^/admin(/|$)", "http://admin:80"
		routes := []route.Route{plain("app.example.com"), admin}
		for i := range 8 {
			routes = append(routes, plain(fmt.Sprintf("h%d.example.com", i)))
		}
		b.want(routes...)
		b.pass(t)
		b.want(plain("app.example.com")) // the others' containers have stopped
		b.pass(t)
		if got := b.Visit("app.example.com", "/admin"); got.Service == admin.Service {
			t.Errorf("it is reachable without a login: %+v, %s", got, b.Apps())
		}
	})
}

// TestAnOpenServiceOpensNoOther: a hostname goes from a protected service to one for everyone.
func TestAnOpenServiceOpensNoOther(t *testing.T) {
	for name, refused := range map[string]bool{"no fault": false, "rules are not taken": true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			before := protected("app.example.com")
			before.Service = "http://private:80"
			b.want(before)
			b.pass(t)
			exposed := 0
			b.Seen = func(cloudflaretest.Call) {
				if b.Visit("app.example.com", "/").Service == before.Service {
					exposed++
				}
			}
			b.want(bypassed("app.example.com"))
			b.Weather = func(method, path string) (f cloudflaretest.Fault) {
				if refused && method == http.MethodPut && strings.HasSuffix(path, "/configurations") {
					f.Status = http.StatusInternalServerError
				}
				return f
			}
			if _, err := b.Pass(t.Context(), b.Desired); exposed > 0 || (err != nil) != refused {
				t.Errorf("%s: reachable at %d moments, %v", name, exposed, err)
			}
			b.Weather = nil
			if b.pass(t); b.Visit("app.example.com", "/").Service != "http://app:80" {
				t.Errorf("%s: it is not open in the end", name)
			}
		})
	}
}

// TestAnotherGroupReachesNoOtherService: a hostname goes from a service of few people to one of
// many, who do not reach the former one in between.
func TestAnotherGroupReachesNoOtherService(t *testing.T) {
	for name, refused := range map[string]bool{"no fault": false, "rules are not taken": true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			before, after := protected("app.example.com"), protected("app.example.com")
			before.Service = "http://private:80"
			after.Access.Policies = []route.Policy{{Name: "all", Decision: route.Allow, Include: []route.Match{{Email: "a@example.com"}, {Email: "b@example.com"}}}}
			b.want(before)
			b.pass(t)
			exposed := 0
			b.Seen = func(c cloudflaretest.Call) {
				if c.Method == http.MethodPut && strings.Contains(c.Path, "/access/apps") && strings.Contains(string(b.Configuration(b.Tunnel.ID)), before.Service) {
					exposed++
				}
			}
			b.Weather = func(method, path string) (f cloudflaretest.Fault) {
				if refused && method == http.MethodPut && strings.HasSuffix(path, "/configurations") {
					f.Status = http.StatusInternalServerError
				}
				return f
			}
			b.want(after)
			if _, err := b.Pass(t.Context(), b.Desired); exposed > 0 || (err != nil) != refused {
				t.Errorf("%s: reachable at %d moments, %v", name, exposed, err)
			}
			b.Weather = nil
			got := b.pass(t)
			if len(got.Live) != 1 || len(got.Findings) != 0 || len(b.Records("example.com")) != 1 || !strings.Contains(fmt.Sprintf("%s", b.Apps()), "b@example.com") {
				t.Errorf("%s: in the end %+v", name, got)
			}
		})
	}
}

// TestAZoneThatWentKeepsNoneFromTheirs: it is in the list of zones that was read before.
func TestAZoneThatWentKeepsNoneFromTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com", "example.org")
		b.want(plain("a.example.com"), plain("a.example.org"))
		b.pass(t)
		gone := "/zones/" + zoneID(t, b, "example.org") + "/dns_records"
		b.Weather = func(_, path string) (f cloudflaretest.Fault) {
			if strings.HasSuffix(path, gone) {
				f.Status = http.StatusNotFound
			}
			return f
		}
		b.want(plain("a.example.com"), plain("b.example.com"), plain("a.example.org"))
		got, err := b.Pass(t.Context(), b.Desired)
		if err != nil || len(got.Live) != 2 || len(got.Findings) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func zoneID(t *testing.T, b *bench, name string) string {
	t.Helper()
	zones, err := b.API.Zones(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range zones {
		if z.Name == name {
			return z.ID
		}
	}
	return ""
}
