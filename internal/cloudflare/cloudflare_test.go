package cloudflare_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/route"
	"salvor/internal/secret"
)

const token = "cfat_do-not-print-me"

func client(t *testing.T, transport http.RoundTripper, hosts int) *cloudflare.Client {
	t.Helper()
	c, err := cloudflare.New(cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString(token), Hosts: hosts, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func server() *cloudflaretest.Server {
	s := &cloudflaretest.Server{}
	s.AddToken(token, cloudflaretest.All)
	return s
}

func TestNewRefuses(t *testing.T) {
	good := cloudflare.Options{Account: cloudflaretest.Account, Token: secret.NewString(token)}
	for name, change := range map[string]func(*cloudflare.Options){
		"an address without TLS": func(o *cloudflare.Options) { o.Base = "http://api.example.com" },
		"no address":             func(o *cloudflare.Options) { o.Base = "cloudflare" },
		"a name for an account":  func(o *cloudflare.Options) { o.Account = "home" },
		"no token":               func(o *cloudflare.Options) { o.Token = secret.Value{} },
		"two lines for a token":  func(o *cloudflare.Options) { o.Token = secret.NewString("a\nb") },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := cloudflare.New(o); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestAllPagesAreRead(t *testing.T) {
	s := server()
	for i := range 120 {
		s.AddZone(fmt.Sprintf("zone%03d.example", i))
	}
	c := client(t, s, 1)
	zones, err := c.Zones(t.Context())
	if err != nil || len(zones) != 120 || len(s.Calls()) != 3 {
		t.Fatalf("%d zones in %d calls, %v", len(zones), len(s.Calls()), err)
	}
	s.Fail(cloudflaretest.Fault{}, cloudflaretest.Fault{Status: 400})
	if zones, err = c.Zones(t.Context()); err == nil || zones != nil {
		t.Errorf("the second page failed, and there are %d zones, %v", len(zones), err)
	}
}

func TestItWorksOverHTTP(t *testing.T) {
	s := server()
	s.AddZone("example.com")
	web := httptest.NewServer(s)
	defer web.Close()
	c, err := cloudflare.New(cloudflare.Options{Base: web.URL + "/client/v4", Account: cloudflaretest.Account, Token: secret.NewString(token)})
	if err != nil {
		t.Fatal(err)
	}
	zones, err := c.Zones(t.Context())
	if err != nil || len(zones) != 1 || zones[0].Name != "example.com" {
		t.Errorf("%v, %v", zones, err)
	}
}

func TestForeignBytesAreKept(t *testing.T) {
	s := server()
	id := s.AddTunnel("alpha", 0)
	const foreign = `{"service":"http://nas:5000","hostname":"nas.example.com","originRequest":{"new<field>": 1.0 , "a":[ ]},"id":"7"}`
	err := s.EditConfiguration(id, json.RawMessage(`{"later":{"x" : "ü<"},"ingress":[`+foreign+`,{"service":"http_status:404"}],"originRequest":{"connectTimeout":10},"warp-routing":{"enabled":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, s, 1)
	config, err := c.Configuration(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	before := string(s.Configuration(id))
	mine := route.Rule{Hostname: "app.example.com", Path: "/a<b", Service: "http://app:80"}
	now, err := c.SetConfiguration(t.Context(), id, config.With(append([]route.Rule{mine}, config.Ingress...)))
	if err != nil || now.Version != 2 || len(now.Ingress) != 3 {
		t.Fatalf("%+v, %v", now, err)
	}
	after := string(s.Configuration(id))
	after = strings.Replace(after, string(now.Ingress[0].Raw)+",", "", 1)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Error(diff)
	}
	if now.Ingress[0].Path != "/a<b" || !strings.Contains(after, foreign) {
		t.Errorf("%+v in %s", now.Ingress[0], after)
	}
}

func TestAnEmptyConfigurationCanBeSet(t *testing.T) {
	s := server()
	id := s.AddTunnel("alpha", 0)
	c := client(t, s, 1)
	config, err := c.Configuration(t.Context(), id)
	if err != nil || config.Version != 0 || len(config.Ingress) != 0 {
		t.Fatalf("%+v, %v", config, err)
	}
	last := route.Rule{Service: "http_status:404"}
	if config, err = c.SetConfiguration(t.Context(), id, config.With([]route.Rule{last})); err != nil || config.Version != 1 {
		t.Errorf("%+v, %v", config, err)
	}
}

// TestTheShareIsKept has hosts ask as fast as they may for an hour.
func TestTheShareIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server()
		var asked []time.Time
		limited := 0
		s.Seen = func(c cloudflaretest.Call) {
			asked = append(asked, time.Now())
			if c.Status == http.StatusTooManyRequests {
				limited++
			}
		}
		c := client(t, s, 4)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for {
			if _, err := c.Zones(ctx); err != nil {
				break
			}
		}
		most := 0
		for from, to := 0, 0; to < len(asked); to++ {
			for asked[to].Sub(asked[from]) >= 5*time.Minute {
				from++
			}
			most = max(most, to-from+1)
		}
		if most > 300 || most < 290 || limited > 0 {
			t.Errorf("%d requests within five minutes, the share is 300; %d were too many", most, limited)
		}
		if len(asked) < 1900 {
			t.Errorf("only %d requests in an hour", len(asked))
		}
	})
}

func TestFailuresAreRepeated(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault cloudflaretest.Fault
		times int
		calls int
		least time.Duration
		fails bool
	}{
		{"too many, twice", cloudflaretest.Fault{Status: 429, After: 40 * time.Second}, 2, 3, 80 * time.Second, false},
		{"500, three times", cloudflaretest.Fault{Status: 500}, 3, 4, time.Second, false},
		{"500 for longer", cloudflaretest.Fault{Status: 500}, 9, 4, time.Second, true},
		{"cut off", cloudflaretest.Fault{Cut: true}, 1, 2, 200 * time.Millisecond, false},
		{"silent", cloudflaretest.Fault{Delay: time.Hour}, 1, 2, 30 * time.Second, false},
		{"refused", cloudflaretest.Fault{Status: 400}, 1, 1, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := server()
				for range test.times {
					s.Fail(test.fault)
				}
				begin := time.Now()
				_, err := client(t, s, 1).Zones(t.Context())
				if (err != nil) != test.fails || len(s.Calls()) != test.calls || time.Since(begin) < test.least {
					t.Errorf("%d calls in %v, %v", len(s.Calls()), time.Since(begin), err)
				}
			})
		})
	}
}

// TestWhatMayBeDoneIsNotDoneAgain: a POST that failed late has had its effect.
func TestWhatMayBeDoneIsNotDoneAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server()
		zone := s.AddZone("example.com")
		s.Fail(cloudflaretest.Fault{Method: "POST", Status: 502, Done: true})
		b := cloudflare.Batch{Post: []cloudflare.Record{{Type: "CNAME", Name: "app.example.com", Content: "t.cfargotunnel.com", Proxied: true, TTL: 1}}}
		err := client(t, s, 1).ChangeRecords(t.Context(), zone, b)
		if !errors.Is(err, cloudflare.ErrAway) || len(s.Calls()) != 1 || len(s.Records("example.com")) != 1 {
			t.Errorf("%d calls, %v", len(s.Calls()), err)
		}
	})
}

func TestADeadlineEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := server()
		s.Fail(cloudflaretest.Fault{Status: 429, After: 4 * time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		_, err := client(t, s, 1).Zones(ctx)
		if !errors.Is(err, cloudflare.ErrAway) || time.Since(begin) > time.Minute {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestErrorsSayWhatWasRefused(t *testing.T) {
	s := server()
	zone := s.AddZone("example.com")
	s.EditRecords("example.com", func([]cloudflaretest.Record) []cloudflaretest.Record {
		return []cloudflaretest.Record{{Type: "A", Name: "app.example.com", Content: "192.0.2.1", TTL: 1}}
	})
	c := client(t, s, 1)
	post := func(r cloudflare.Record) error {
		r.Type, r.TTL = "CNAME", 1
		return c.ChangeRecords(t.Context(), zone, cloudflare.Batch{Post: []cloudflare.Record{r}})
	}
	id := s.AddTunnel("alpha", 0)
	_, byName := c.CreateTunnel(t.Context(), "alpha")
	_, noTag := c.PutApp(t.Context(), cloudflare.App{Name: "a", Type: "self_hosted", Domain: "app.example.com", Tags: []string{"salvor"}})
	_, badRules := c.SetConfiguration(t.Context(), id, cloudflare.Configuration{Ingress: []route.Rule{}})
	for _, test := range []struct {
		err  error
		kind error
		says string
	}{
		{post(cloudflare.Record{Name: "app.example.com", Content: "x.example"}), cloudflare.ErrThere, "POST /zones/" + zone + "/dns_records/batch: it exists already: 81053 "},
		{post(cloudflare.Record{Name: "b.example.com", Content: "x.example", Comment: strings.Repeat("ü", 101)}), cloudflare.ErrRefused, "9313"},
		{c.ChangeRecords(t.Context(), zone, cloudflare.Batch{Delete: []string{"none"}}), cloudflare.ErrGone, "81044"},
		{c.ChangeRecords(t.Context(), "none", cloudflare.Batch{Delete: []string{"none"}}), cloudflare.ErrGone, "1003"},
		{byName, cloudflare.ErrThere, "1013"},
		{noTag, cloudflare.ErrRefused, `12130 access.api.error.invalid_request: tag "salvor" does not exist`},
		{badRules, cloudflare.ErrRefused, "1056 Bad Configuration"},
		{c.DeleteApp(t.Context(), "none"), nil, ""},
	} {
		if !errors.Is(test.err, test.kind) || test.err != nil && !strings.Contains(test.err.Error(), test.says) {
			t.Errorf("%v, want %v: %s", test.err, test.kind, test.says)
		}
	}
}

// answers answers each request with one text.
type answers struct {
	status int
	text   string
}

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.text))}, nil
}

func TestBadAnswersAreErrors(t *testing.T) {
	for name, a := range map[string]answers{
		"no JSON":         {200, "<html>"},
		"no frame":        {200, `[]`},
		"another kind":    {200, `{"success":true,"result":{"a":1}}`},
		"a page":          {502, "<html>" + token},
		"the token":       {400, `{"success":false,"errors":[{"code":1,"message":"bad ` + token + `\u001b[31m\n"}]}`},
		"too long":        {200, `{"success":true,"result":"` + strings.Repeat("a", 17<<20) + `"}`},
		"a redirect":      {302, ""},
		"without an end":  {200, `{"success":true,"result":[],"result_info":{"total_pages":1000000}}`},
		"success in vain": {200, `{"success":false,"errors":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := client(t, a, 1).Zones(t.Context())
				if err == nil || strings.Contains(err.Error(), token) || strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > 500 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestMissingPermissionsAreNamed(t *testing.T) {
	s := &cloudflaretest.Server{}
	s.AddToken(token, "Zone: Zone: Read, Account: Cloudflare Tunnel: Edit, Zone: DNS: Read")
	zone := s.AddZone("example.com")
	c := client(t, s, 1)
	needed := []cloudflare.Permission{cloudflare.ZoneRead, cloudflare.DNSEdit, cloudflare.TunnelEdit, cloudflare.AppsEdit, cloudflare.ProvidersRead}
	missing, err := c.Missing(t.Context(), needed, []string{zone})
	if diff := cmp.Diff([]cloudflare.Permission{cloudflare.AppsEdit, cloudflare.ProvidersRead}, missing); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	b := cloudflare.Batch{Post: []cloudflare.Record{{Type: "CNAME", Name: "a.example.com", Content: "b.example", TTL: 1}}}
	if err := c.ChangeRecords(t.Context(), zone, b); !errors.Is(err, cloudflare.ErrDenied) || !strings.Contains(err.Error(), "lacks a permission: Zone: DNS: Edit") {
		t.Errorf("%v", err)
	}
}

func TestATokenIsVerified(t *testing.T) {
	s := server()
	c := client(t, s, 1)
	if err := c.VerifyToken(t.Context()); err != nil {
		t.Error(err)
	}
	s.EndToken(token)
	if err := c.VerifyToken(t.Context()); !errors.Is(err, cloudflare.ErrToken) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("%v", err)
	}
	if _, err := c.Zones(t.Context()); !errors.Is(err, cloudflare.ErrToken) {
		t.Errorf("%v", err)
	}
	stranger := client(t, &cloudflaretest.Server{}, 1)
	if err := stranger.VerifyToken(t.Context()); !errors.Is(err, cloudflare.ErrToken) {
		t.Errorf("%v", err)
	}
}

func TestATunnelIsMade(t *testing.T) {
	s := server()
	c := client(t, s, 1)
	made, err := c.CreateTunnel(t.Context(), "salvor-home-alpha")
	if err != nil {
		t.Fatal(err)
	}
	found, err := c.Tunnels(t.Context(), "salvor-home-alpha")
	if err != nil || len(found) != 1 || found[0] != made || made.Source != "cloudflare" {
		t.Errorf("%+v, %+v, %v", made, found, err)
	}
	got, err := c.TunnelToken(t.Context(), made.ID)
	if err != nil || got.IsZero() {
		t.Error(err)
	}
	connectors, err := c.Connectors(t.Context(), made.ID)
	if err != nil || len(connectors) != 1 || len(connectors[0].Connections) != 1 {
		t.Errorf("%+v, %v", connectors, err)
	}
	if one, err := c.Tunnel(t.Context(), made.ID); err != nil || one != made {
		t.Errorf("%+v, %v", one, err)
	}
	cloudflaretest.Person{Server: s}.DeleteTunnel(made.ID)
	for _, id := range []string{made.ID, "00000000-0000-0000-0000-00000000ffff"} {
		if _, err := c.Tunnel(t.Context(), id); !errors.Is(err, cloudflare.ErrGone) {
			t.Errorf("tunnel %s: %v", id, err)
		}
	}
}

func TestAccessIsSet(t *testing.T) {
	s := server()
	s.AddZone("example.com")
	provider := s.AddNamed("identity_providers", "work")
	c := client(t, s, 1)
	for range 2 { // the second finds it
		if err := c.CreateTag(t.Context(), "salvor"); err != nil {
			t.Fatal(err)
		}
	}
	want := cloudflare.App{Name: "app", Type: "self_hosted", Domain: "app.example.com", Session: "24h", Providers: []string{provider}, Tags: []string{"salvor"},
		Policies: []json.RawMessage{json.RawMessage(`{"name":"staff","decision":"allow","include":[{"email":{"email":"a@example.com"}}]}`)}}
	made, err := c.PutApp(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	made.Session = "12h"
	if made, err = c.PutApp(t.Context(), made); err != nil || made.Session != "12h" {
		t.Fatal(made, err)
	}
	apps, err := c.Apps(t.Context())
	if diff := cmp.Diff([]cloudflare.App{made}, apps); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	providers, err := c.Providers(t.Context())
	if err != nil || len(providers) != 1 || providers[0].ID != provider {
		t.Errorf("%v, %v", providers, err)
	}
	if tokens, err := c.ServiceTokens(t.Context()); err != nil || len(tokens) != 0 {
		t.Errorf("%v, %v", tokens, err)
	}
	tags, err := c.Tags(t.Context())
	if diff := cmp.Diff([]string{"salvor"}, tags); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if err := c.DeleteApp(t.Context(), made.ID); err != nil || len(s.Apps()) != 0 {
		t.Error(err)
	}
}
