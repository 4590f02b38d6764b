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
	"salvor/internal/route"
)

// foreignTunnel is a tunnel as DockFlare leaves it: rules, records and an application for each.
func foreignTunnel(t *testing.T, b *bench, policy string) {
	t.Helper()
	rules := []string{}
	for _, h := range []string{"open", "app", "lone", "paths", "elsewhere"} {
		rules = append(rules, fmt.Sprintf(`{"hostname":"%s.example.com","service":"http://app:80"}`, h))
	}
	rules = append(rules, `{"hostname":"paths.example.com","path":"/admin","service":"http://admin:80"}`, `{"service":"http_status:404"}`)
	if err := b.EditConfiguration(b.Tunnel.ID, json.RawMessage(`{"ingress":[`+strings.Join(rules, ",")+`]}`)); err != nil {
		t.Fatal(err)
	}
	b.EditRecords("example.com", func([]cloudflaretest.Record) (all []cloudflaretest.Record) {
		for _, h := range []string{"open", "app", "lone", "paths"} {
			all = append(all, cloudflaretest.Record{Type: "CNAME", Name: h + ".example.com", Content: b.Tunnel.Target(), Proxied: true, TTL: 1})
		}
		return append(all, cloudflaretest.Record{Type: "CNAME", Name: "elsewhere.example.com", Content: "x.example.net", TTL: 1})
	})
	b.EditApps(func([]json.RawMessage) []json.RawMessage {
		return []json.RawMessage{json.RawMessage(`{"name":"DockFlare-app.example.com","type":"self_hosted","domain":"app.example.com","session_duration":"24h","policies":[` + policy + `]}`)}
	})
}

// seen is what Cloudflare has, as an adoption reads it.
func seen(t *testing.T, b *bench) Actual {
	t.Helper()
	a := Actual{}
	zones, err := b.API.Zones(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, z := range zones {
		records, err := b.API.Records(t.Context(), z.ID)
		if err != nil {
			t.Fatal(err)
		}
		a.Zones = append(a.Zones, Zone{Zone: z, Records: records})
	}
	var errs [3]error
	a.Apps, errs[0] = b.API.Apps(t.Context())
	a.Providers, errs[1] = b.API.Providers(t.Context())
	a.Config, errs[2] = b.API.Configuration(t.Context(), b.Tunnel.ID)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// TestAdoptedIsOwn: what DockFlare has made is taken over under a probe, and the next pass finds
// it its own. No request fails, and no protected one gets through.
func TestAdoptedIsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		google := b.AddNamed("identity_providers", "Google")
		foreignTunnel(t, b, `{"name":"DockFlare-AccessGroup-staff","decision":"allow","include":[{"login_method":{"id":"`+google+`"}}],"require":[{"email":{"email":"a@example.com"}}]}`)
		app := protected("app.example.com")
		app.Access.Policies[0].Require = []route.Match{{Provider: "google"}}
		b.want(plain("open.example.com"), app, plain("paths.example.com"), plain("elsewhere.example.com"))
		<-time.After(time.Second) // until the connector has the rules
		probes, failed := 0, 0
		b.Seen = func(cloudflaretest.Call) {
			probes++
			if b.Visit("open.example.com", "/").Service != "http://app:80" || !b.Visit("app.example.com", "/").Denied || b.Visit("lone.example.com", "/").Service != "http://app:80" {
				failed++
			}
		}
		var got []string
		for _, a := range Adopt(b.Desired, seen(t, b)) {
			got = append(got, fmt.Sprintf("%s %s: %s, %d apps, record %v, %q", a.Hostname, a.Owner, a.Why, len(a.Apps), a.Record != nil, a.Access))
		}
		want := []string{
			"app.example.com notes: , 1 apps, record true, []", // DockFlare's inverted form means the same
			"elsewhere.example.com notes: its record does not lead to the tunnel: CNAME x.example.net, 0 apps, record false, []",
			"lone.example.com : nothing declares it for this host, 0 apps, record false, []",
			"open.example.com notes: , 0 apps, record true, []",
			`paths.example.com notes: the tunnel has a rule of its path "/admin", which notes does not declare, 0 apps, record false, []`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		carry(t, b)
		for _, a := range Adopt(b.Desired, seen(t, b)) {
			if a.Why == "" && (len(a.Apps) > 0 || a.Record != nil) {
				t.Errorf("something is left: %+v", a)
			}
		}
		r := b.pass(t)
		if !slices.Equal(r.Live, []string{"app.example.com", "open.example.com"}) {
			t.Errorf("%+v", r)
		}
		b.pass(t)
		if rules := b.Rules(b.Tunnel.ID); len(rules) != 7 {
			t.Errorf("%s", rules)
		}
		t.Logf("%d probes, %d failed", probes, failed)
		if failed > 0 || probes == 0 {
			t.Errorf("%d of %d probes failed", failed, probes)
		}
	})
}

// carry does what Adopt says.
func carry(t *testing.T, b *bench) {
	t.Helper()
	if err := b.API.CreateTag(t.Context(), Tag); err != nil {
		t.Fatal(err)
	}
	for _, a := range Adopt(b.Desired, seen(t, b)) {
		for _, app := range a.Apps {
			if _, err := b.API.PutApp(t.Context(), app); err != nil {
				t.Fatal(err)
			}
		}
		if a.Record != nil {
			if err := b.API.ChangeRecords(t.Context(), a.Record.Zone, cloudflare.Batch{Patch: []cloudflare.Record{a.Record.Want}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAdoptOpensNothing, and shows what changes of who may in.
func TestAdoptOpensNothing(t *testing.T) {
	const ann = `{"name":"p","decision":"allow","include":[{"email":{"email":"ann@example.com"}}]}`
	everyoneIn := route.Access{Groups: []string{"bypass"}, Session: "24h", Policies: []route.Policy{{Decision: route.Bypass, Include: []route.Match{{Everyone: true}}}}}
	for name, c := range map[string]struct {
		spoil func(*bench)
		why   string
		lines []string
		left  string
	}{
		"as declared":           {lines: []string{"- allow email ann@example.com", "+ allow email a@example.com"}},
		"the declaration opens": {spoil: func(b *bench) { b.Routes[0].Route.Access = &everyoneIn }, why: "it is protected now, and its declaration lets everyone in"},
		"the zone's application protects it": {spoil: func(b *bench) {
			b.Routes[0].Route.Access = &everyoneIn
			editApp(b, `"domain":"app.example.com"`, `"domain":"*.example.com"`)
		}, why: `the application "DockFlare-app.example.com" protects it now, and its declaration lets everyone in`},
		"the zone's application stays behind": {spoil: func(b *bench) {
			editApp(b, `"domain":"app.example.com"`, `"domain":"*.example.com"`)
		}, lines: []string{"+ allow email a@example.com"}},
		"a person's application": {spoil: func(b *bench) {
			editApp(b, `"DockFlare-app.example.com"`, `"mine"`)
		}, why: `its application "mine" is not DockFlare's`},
		"for several hostnames": {spoil: func(b *bench) {
			editApp(b, `"policies"`, `"self_hosted_domains":["app.example.com","b.example.com"],"policies"`)
		}, why: `its application "DockFlare-app.example.com" is for other hostnames, too: app.example.com, b.example.com`},
		"nothing declares who may in": {spoil: func(b *bench) { b.Routes[0].Route.Access = nil }, left: "DockFlare-app.example.com"},
		"a newer host's": {spoil: func(b *bench) {
			editApp(b, `"policies"`, `"tags":["salvor"],"policies"`)
			editApp(b, `"name":"p"`, `"name":"salvor:home/notes/9 p"`)
		}, why: "another host has it since: its Access application is marked as salvor:home/notes/9"},
		"a provider that is not there": {spoil: func(b *bench) { b.Routes[0].Route.Access.Providers = []string{"none"} }, why: `the account does not have the identity provider "none"`},
		"another stack's record": {spoil: func(b *bench) {
			b.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
				all[1].Comment = "salvor:home/wiki/1"
				return all
			})
		}, why: "its record is marked as salvor:home/wiki/1"},
		"closed":              {spoil: func(b *bench) { b.Routes[0].Route.Closed = "x" }, why: "its declaration is not published: x"},
		"another comes first": {spoil: func(b *bench) { b.Routes[0].Route.Claimants = []string{"a", "notes"} }, why: "a declares it, too, and comes first"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "example.com")
				foreignTunnel(t, b, ann)
				b.want(protected("app.example.com"))
				if c.spoil != nil {
					c.spoil(b)
				}
				got := Adopt(b.Desired, seen(t, b))[0]
				if got.Why != c.why || !slices.Equal(got.Access, c.lines) || strings.Join(got.Left, "") != c.left || (got.Record != nil) != (c.why == "") {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// editApp changes the text of the application.
func editApp(b *bench, from, to string) {
	b.AddNamed("tags", Tag)
	b.EditApps(func(all []json.RawMessage) []json.RawMessage {
		return []json.RawMessage{json.RawMessage(strings.Replace(string(all[0]), from, to, 1))}
	})
}
