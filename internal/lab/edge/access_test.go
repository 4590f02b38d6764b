package edge_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/lab/edge"
)

func TestAccess(t *testing.T) {
	p := newPlace(t)
	app := serve(t, echo("app"))
	google, token := p.api.AddNamed("identity_providers", "google"), p.api.AddNamed("service_tokens", "robot")
	other := p.api.AddNamed("service_tokens", "other")
	p.publish(t, rule("app.example.com", "", app, "{}"), rule("family.example.com", "", app, "{}"), rule("office.example.com", "", app, "{}"))
	p.start(t, "one").version(t, 1)
	p.api.EditApps(func([]json.RawMessage) []json.RawMessage {
		return []json.RawMessage{
			json.RawMessage(fmt.Sprintf(`{"domain":"family.example.com","policies":[
				{"decision":"allow","include":[{"email":{"email":"ann@example.com"}},{"email_domain":{"domain":"example.org"}}],"require":[{"login_method":{"id":%q}}],"exclude":[{"email":{"email":"eve@example.org"}}]},
				{"decision":"non_identity","include":[{"service_token":{"token_id":%q}}]}]}`, google, token)),
			json.RawMessage(`{"domain":"family.example.com/open","policies":[{"decision":"bypass","include":[{"everyone":{}}]}]}`),
			json.RawMessage(`{"domain":"office.example.com","policies":[{"decision":"bypass","include":[{"ip":{"ip":"192.0.2.0/24"}}],"require":[{"geo":{"country_code":"DE"}}]}]}`),
		}
	})
	from := func(address, country string) http.Header {
		return http.Header{edge.AddressHeader: {address}, edge.CountryHeader: {country}}
	}
	ann := p.LogIn("ann@example.com", google)
	forged := http.Header{"Cf-Access-Authenticated-User-Email": {"ann@example.com"}, "Cookie": {"CF_Authorization=forged"}}
	for _, test := range []struct {
		who    string
		url    string
		header http.Header
		status int
	}{
		{"anyone", "https://app.example.com/", nil, 200},
		{"anyone", "https://family.example.com/", nil, 302},
		{"anyone, without TLS", "http://family.example.com/", nil, 302},
		{"anyone", "https://family.example.com/open/x", nil, 200},
		{"anyone", "https://family.example.com/opened", nil, 302},
		{"Ann", "https://family.example.com/", ann, 200},
		{"Ann by another provider", "https://family.example.com/", p.LogIn("ann@example.com", "github"), 403},
		{"the domain", "https://family.example.com/", p.LogIn("bob@example.org", google), 200},
		{"who is excluded", "https://family.example.com/", p.LogIn("eve@example.org", google), 403},
		{"a stranger", "https://family.example.com/", p.LogIn("eve@example.net", google), 403},
		{"a forged session", "https://family.example.com/", forged, 302},
		{"the robot", "https://family.example.com/", cloudflaretest.ServiceHeader(token), 200},
		{"another robot", "https://family.example.com/", cloudflaretest.ServiceHeader(other), 403},
		{"the office", "https://office.example.com/", from("192.0.2.7", "DE"), 200},
		{"the office's network elsewhere", "https://office.example.com/", from("192.0.2.7", "FR"), 302},
		{"elsewhere", "https://office.example.com/", from("198.51.100.1", "DE"), 302},
		{"Ann elsewhere", "https://office.example.com/", ann, 403},
	} {
		status, body, h := p.get(t, test.url, test.header)
		if status != test.status {
			t.Errorf("%s at %s: %d %q, want %d", test.who, test.url, status, body, test.status)
		}
		if status == 302 && !strings.Contains(h.Get("Location"), ".cloudflareaccess.com/cdn-cgi/access/login/") {
			t.Errorf("%s at %s is led to %q", test.who, test.url, h.Get("Location"))
		}
	}
	if _, body, _ := p.get(t, "https://family.example.com/", ann); !strings.HasSuffix(body, " ann@example.com") {
		t.Errorf("the service gets %q", body)
	}
	if _, body, _ := p.get(t, "https://app.example.com/", forged); strings.Contains(body, "ann@") {
		t.Errorf("the service believes a forged header: %q", body)
	}
	if got := p.Counts()["office.example.com"]; got != (edge.Count{Requests: 4, Refused: 3, Served: 1}) {
		t.Errorf("counts: %+v", got)
	}
}
