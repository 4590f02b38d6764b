package publish

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/finding"
	"salvor/internal/route"
)

// policiesOf returns an application's policies as they are at Cloudflare.
func policiesOf(t *testing.T, b *bench) string {
	t.Helper()
	if len(b.Apps()) != 1 {
		t.Fatalf("%d applications", len(b.Apps()))
	}
	var app struct{ Policies json.RawMessage }
	if err := json.Unmarshal(b.Apps()[0], &app); err != nil {
		t.Fatal(err)
	}
	return string(app.Policies)
}

func TestNamesAreResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		provider, service := b.AddNamed("identity_providers", "Work"), b.AddNamed("service_tokens", "backup")
		r := protected("app.example.com")
		r.Access.Providers = []string{"work"}
		r.Access.Policies = []route.Policy{
			{Name: "people", Decision: route.Allow, Include: []route.Match{{Domain: "example.com"}, {IP: "192.0.2.0/24"}}, Require: []route.Match{{Provider: "work"}, {Country: "DE"}}, Exclude: []route.Match{{Email: "x@example.com"}}},
			{Decision: route.NonIdentity, Include: []route.Match{{Token: service}}},
			{Inline: json.RawMessage(`{"name":"own","decision":"allow","include":[{"group":{"id":"g"}}],"purpose_justification_required":true}`)},
		}
		b.want(r)
		if got := b.pass(t); len(got.Live) != 1 {
			t.Fatalf("%+v", got)
		}
		got := policiesOf(t, b)
		for _, part := range []string{`"name":"salvor:home/notes/3 people"`, `{"login_method":{"id":"` + provider + `"}}`, `{"service_token":{"token_id":"` + service + `"}}`,
			`{"geo":{"country_code":"DE"}}`, `"name":"salvor:home/notes/3"`, `"name":"salvor:home/notes/3 own"`, `"purpose_justification_required":true`, `{"group":{"id":"g"}}`} {
			if !strings.Contains(got, part) {
				t.Errorf("%s is not in %s", part, got)
			}
		}
		n := len(b.Calls())
		if b.pass(t); len(b.Calls())-n != 3 {
			t.Errorf("an idle pass: %v", b.Calls()[n:])
		}
	})
}

func TestAnAmbiguousNameProtectsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.AddNamed("identity_providers", "Work")
		b.AddNamed("identity_providers", "work")
		r := protected("app.example.com")
		r.Access.Providers = []string{"work"}
		b.want(r)
		if got := b.pass(t); len(got.Live) != 0 || !strings.Contains(got.Findings[0].Text, `2 of the identity provider "work"`) {
			t.Errorf("%+v", got)
		}
	})
}

// TestHandsOnAnApplication has people change an application of Salvor's.
func TestHandsOnAnApplication(t *testing.T) {
	for name, change := range map[string][2]string{
		"everyone is let in":          {`{"email":{"email":"a@example.com"}}`, `{"everyone":{}}`},
		"one more is let in":          {`{"email":{"email":"a@example.com"}}`, `{"email":{"email":"a@example.com"}},{"email":{"email":"b@example.com"}}`},
		"a policy bypasses":           {`"decision":"allow"`, `"decision":"bypass"`},
		"requests of browsers bypass": {`"options_preflight_bypass":false`, `"options_preflight_bypass":true`},
		"it is for another host, too": {`"self_hosted_domains":["app.example.com"]`, `"self_hosted_domains":["app.example.com","b.example.com"]`},
		"its mark is gone":            {`salvor:home/notes/3 staff`, `staff`},
		"another session":             {`"24h"`, `"1000h"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, "example.com")
				b.want(protected("app.example.com"))
				b.pass(t)
				before := policiesOf(t, b)
				b.EditApps(func(all []json.RawMessage) []json.RawMessage {
					now := strings.Replace(string(all[0]), change[0], change[1], 1)
					if now == string(all[0]) {
						t.Fatalf("%s is not in %s", change[0], now)
					}
					return []json.RawMessage{json.RawMessage(now)}
				})
				got := b.pass(t)
				if len(got.Live) != 1 || got.Steps != 1 || len(policiesOf(t, b)) != len(before) || strings.Contains(string(b.Apps()[0]), change[1]) && len(change[1]) > len(change[0]) {
					t.Errorf("%+v: %s", got, b.Apps())
				}
			})
		})
	}
}

func TestAZonesApplicationProtects(t *testing.T) {
	for policies, live := range map[string]int{
		`[{"name":"a","decision":"allow","include":[{"email":{"email":"a@b"}}]}]`: 1,
		`[]`: 0,
		`[{"name":"a","decision":"bypass","include":[{"everyone":{}}]}]`: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, "example.com")
			b.EditApps(func([]json.RawMessage) []json.RawMessage {
				return []json.RawMessage{json.RawMessage(`{"name":"zone","type":"self_hosted","domain":"*.example.com","policies":` + policies + `}`)}
			})
			r := plain("app.example.com")
			r.Access = &route.Access{OfZone: true}
			b.want(r)
			if got := b.pass(t); len(got.Live) != live || b.Visit("app.example.com", "/").Reached() {
				t.Errorf("%s: %+v", policies, got)
			}
		})
	}
}

// TestAClosedRouteIsNotServedByAnother: a person's wildcard would catch its requests.
func TestAClosedRouteIsNotServedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.EditRecords("example.com", func([]cloudflaretest.Record) []cloudflaretest.Record {
			return []cloudflaretest.Record{{Type: "CNAME", Name: "*.example.com", Content: b.Tunnel.Target(), Proxied: true, TTL: 1}}
		})
		if err := b.EditConfiguration(b.Tunnel.ID, json.RawMessage(`{"ingress":[{"hostname":"*.example.com","service":"http://proxy"},{"service":"http_status:404"}]}`)); err != nil {
			t.Fatal(err)
		}
		r := protected("app.example.com")
		r.Access.Providers = []string{"none"}
		b.want(r)
		b.pass(t)
		<-time.After(time.Second) // until the connector has the rules
		if got := b.Visit("app.example.com", "/"); got.Service != "http_status:503" {
			t.Errorf("%+v", got)
		}
		if got := b.Visit("x.example.com", "/"); got.Service != "http://proxy" {
			t.Errorf("%+v", got)
		}
	})
}

// TestOneBadChangeKeepsNoneFromBeingDone: a record comes in the way between the look and the
// batch.
func TestOneBadChangeKeepsNoneFromBeingDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.want(plain("a.example.com"), plain("b.example.com"))
		records := 0
		b.Seen = func(c cloudflaretest.Call) {
			if c.Writes() || !strings.HasSuffix(c.Path, "/dns_records") {
				return
			}
			if records++; records == 2 {
				b.EditRecords("example.com", func(all []cloudflaretest.Record) []cloudflaretest.Record {
					return append(all, cloudflaretest.Record{Type: "A", Name: "a.example.com", Content: "192.0.2.1", TTL: 1})
				})
			}
		}
		got := b.pass(t)
		if len(got.Live) != 1 || len(got.Findings) != 1 || got.Findings[0].Code != finding.RouteBlocked || len(b.Records("example.com")) != 2 {
			t.Errorf("%+v, %v", got, b.Records("example.com"))
		}
	})
}

// TestAZoneThatMayNotBeReadIsNamed, and the others are published.
func TestAZoneThatMayNotBeReadIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com", "example.org")
		b.want(plain("app.example.com"), plain("app.example.org"))
		b.Weather = func(_, path string) cloudflaretest.Fault {
			if strings.HasSuffix(path, "1/dns_records") { // of the first zone
				return cloudflaretest.Fault{Status: 403, Code: 10000}
			}
			return cloudflaretest.Fault{}
		}
		got := b.pass(t)
		if len(got.Live) != 1 || got.Live[0] != "app.example.org" || len(got.Findings) != 1 || !strings.Contains(got.Findings[0].Text, "Zone: DNS: Edit") {
			t.Errorf("%+v", got)
		}
	})
}

// TestBadInputIsNamed: what only Cloudflare can know of a declaration is named with its place,
// and everything else is published.
func TestBadInputIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "example.com")
		b.EditRecords("example.com", func([]cloudflaretest.Record) []cloudflaretest.Record {
			return []cloudflaretest.Record{{Type: "A", Name: "taken.example.com", Content: "192.0.2.1", TTL: 60}}
		})
		provider, denied := protected("provider.example.com"), protected("denied.example.com")
		provider.Access.Providers = []string{"gogle"}
		bad := []route.Route{plain("taken.example.com"), plain("none.example.net"), {Hostname: "asked.example.com", Service: "http://app:80", Zone: "example.org"}, provider}
		for i := range bad {
			bad[i].Position = "stacks/notes/compose.yaml:7:5"
		}
		b.want(append(bad, protected("good.example.com"))...)
		r := b.pass(t)
		if !slices.Equal(r.Live, []string{"good.example.com"}) {
			t.Errorf("%+v", r)
		}
		want := map[string]string{
			"taken.example.com":    "it is not published, or stays as it is: the zone has a record of it that is not Salvor's: A 192.0.2.1 (stacks/notes/compose.yaml:7:5) [route-blocked]",
			"none.example.net":     "it is not published, or stays as it is: no zone that the token may see contains it (stacks/notes/compose.yaml:7:5) [route-blocked]",
			"asked.example.com":    "it is not published, or stays as it is: it is not in a zone example.org that the token may see (stacks/notes/compose.yaml:7:5) [route-blocked]",
			"provider.example.com": `it is not published, since its protection can't be confirmed: the account does not have the identity provider "gogle" (stacks/notes/compose.yaml:7:5) [route-closed]`,
		}
		for _, f := range r.Findings {
			if want[f.Subject] != f.Text+" ["+string(f.Code)+"]" || f.Fix == "" {
				t.Errorf("%s", f)
			}
			delete(want, f.Subject)
		}
		if len(want) > 0 {
			t.Errorf("not named: %q", want)
		}
		b.AddToken(token, strings.Replace(cloudflaretest.All, "Account: Access: Apps and Policies: Edit, ", "", 1))
		b.want(denied, plain("open.example.com"))
		r = b.pass(t)
		if !slices.Equal(r.Live, []string{"open.example.com"}) || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Text, "the token lacks a permission: Account: Access: Apps and Policies: Edit") {
			t.Errorf("%+v", r)
		}
	})
}
