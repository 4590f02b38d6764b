package tunnel

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/finding"
	"salvor/internal/route"
)

func lines(found []finding.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.String())
	}
	return all
}

func TestASilentConnectorIsAFinding(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	look := func() []string {
		t.Helper()
		found, err := s.tunnel.Findings(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return lines(found)
	}
	s.set(slotA, func(c *served) { c.away = true })
	if got := look(); got != nil {
		t.Errorf("at once: %v", got)
	}
	s.pass(silence)
	want := []string{"salvor-cloudflared: no connection to Cloudflare for 2m0s: the host's hostnames do not answer [connector-silent]"}
	if diff := cmp.Diff(want, look()); diff != "" {
		t.Error(diff)
	}
	s.set(slotA, func(c *served) { c.away = false })
	if got := look(); got != nil {
		t.Errorf("connected again: %v", got)
	}
	s.engine.Set(s.engine.Containers()[0].ID, "exited")
	look()
	s.pass(silence)
	if got := look(); len(got) != 1 {
		t.Errorf("a connector that does not run: %v", got)
	}
}

func TestWaysThatEndNowhereOrAtTwo(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	const net = "cloudflare-net"
	s.engine.Join(s.engine.Add("good", "app", "running"), net, "good-app")
	s.engine.Add("outside", "web", "running")
	s.engine.Join(s.engine.Add("one", "app", "running"), net, "app")
	s.engine.Join(s.engine.Add("two", "app", "running"), net, "app")
	for range 2 {
		s.engine.Join(s.engine.Add("replicas", "api", "running"), net, "api")
	}
	s.engine.Join(s.engine.Add("stopped", "old", "exited"), net, "old")
	s.engine.Join(s.engine.Add("other", "db", "running"), "other-net", "db")
	to := func(owner, of, hostname, service string) route.Owned {
		return route.Owned{Owner: owner, Route: route.Route{Hostname: hostname, Service: service, Of: of}}
	}
	found, err := s.tunnel.Findings(t.Context(), []route.Owned{
		to("good", "app", "good.example.com", "http://good-app:80"),
		to("good", "app", "name.example.com", "http://good-app-1:80"),
		to("outside", "web", "web.example.com", "http://web:80"),
		to("outside", "web", "web2.example.com", "http://web:80"),
		to("outside", "web", "ip.example.com", "http://192.0.2.7:80"),
		to("outside", "web", "dns.example.com", "https://web.lan"),
		to("outside", "web", "status.example.com", "http_status:404"),
		to("one", "app", "one.example.com", "http://APP:80"),
		to("replicas", "api", "api.example.com", "https://api"),
		to("stopped", "old", "old.example.com", "http://nothing:80"),
		to("other", "db", "db.example.com", "tcp://db:5432"),
		to("host.alpha", "", "nas.example.com", "https://nas"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`outside/web: web.example.com leads to "web", and nothing has that name in the connector's network cloudflare-net; outside-web-1 runs, but not there under that name [route-unreached]`,
		`one/app: one.example.com leads to "app", and that is the name of one-app-1 and of two-app-1 in the network cloudflare-net: each gets some of the requests [route-shared-name]`,
		`other/db: db.example.com leads to "db", and nothing has that name in the connector's network cloudflare-net; other-db-1 runs, but not there under that name [route-unreached]`,
	}
	if diff := cmp.Diff(want, lines(found)); diff != "" {
		t.Error(diff)
	}
}

func TestMissingPermissionsAreNamedOneByOne(t *testing.T) {
	routes := []route.Owned{{Owner: "notes", Route: route.Route{Hostname: "app.example.com", Service: "http://app", Access: &route.Access{
		Providers: []string{"google"}, Policies: []route.Policy{{Include: []route.Match{{Token: "ci"}}}},
	}}}}
	for name, c := range map[string]struct {
		permissions string
		want        []string
	}{
		"all": {cloudflaretest.All, nil},
		"some": {"Zone: Zone: Read, Account: Cloudflare Tunnel: Edit, Account: Access: Organizations, Identity Providers, and Groups: Read", []string{
			`ingress.token: the token for Cloudflare lacks the permission "Zone: DNS: Edit" [token-lacks]`,
			`ingress.token: the token for Cloudflare lacks the permission "Account: Access: Apps and Policies: Edit" [token-lacks]`,
			`ingress.token: the token for Cloudflare lacks the permission "Account: Access: Service Tokens: Read" [token-lacks]`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			s.api.AddZone("example.com")
			s.api.AddToken(apiToken, c.permissions)
			found, err := Permissions(t.Context(), s.client(), routes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lines(found)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		s := newStand(t)
		s.api.EndToken(apiToken)
		found, err := Permissions(t.Context(), s.client(), routes)
		if err != nil || len(found) != 1 || found[0].Code != finding.TokenLacks {
			t.Errorf("got %v, %v", found, err)
		}
	})
}
