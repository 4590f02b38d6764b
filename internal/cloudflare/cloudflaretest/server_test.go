package cloudflaretest

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestRulesAreCheckedAsCloudflaredDoes has the cases of cloudflared's ingress/ingress_test.go.
func TestRulesAreCheckedAsCloudflaredDoes(t *testing.T) {
	const last = `{"service":"http_status:404"}`
	for _, test := range []struct{ rules, wrong string }{
		{`{"hostname":"a.example.com","service":"http://a:80"},` + last, ""},
		{`{"hostname":"*.example.com","path":"^/(a|b)$","service":"https://[::1]:8443"},` + last, ""},
		{`{"hostname":"a.example.com","service":"unix:/run/a.sock"},{"hostname":"b.example.com","service":"ssh://b:22"},` + last, ""},
		{last, ""},
		{``, "no ingress rules"},
		{`{"hostname":"a.example.com","service":"http://a:80"}`, "last ingress rule"},
		{last + `,{"hostname":"a.example.com","service":"http://a:80"}`, "every hostname"},
		{last + `,` + last, "every hostname"},
		{`{"hostname":"a.*.com","service":"http://a:80"},` + last, "wildcard"},
		{`{"hostname":"a.example.com:80","service":"http://a:80"},` + last, "port"},
		{`{"hostname":"a.example.com","path":"(","service":"http://a:80"},` + last, "regex"},
		{`{"hostname":"a.example.com","service":"http://a:80/x"},` + last, "different path"},
		{`{"hostname":"a.example.com","service":"a:80"},` + last, "invalid address"},
		{`{"hostname":"a.example.com","service":"http_status:abc"},` + last, "HTTP status"},
	} {
		_, err := checkedRules(json.RawMessage(`[` + test.rules + `]`))
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, want %q", test.rules, err, test.wrong)
		}
	}
}

func TestTheEdge(t *testing.T) {
	s := &Server{}
	s.AddZone("example.com")
	id := s.AddTunnel("alpha", 0)
	target := id + ".cfargotunnel.com"
	s.EditRecords("example.com", func([]Record) []Record {
		return []Record{
			{Type: "CNAME", Name: "app.example.com", Content: target, Proxied: true},
			{Type: "CNAME", Name: "*.wild.example.com", Content: target, Proxied: true},
			{Type: "CNAME", Name: "bare.example.com", Content: target},
			{Type: "A", Name: "a.example.com", Content: "192.0.2.1", Proxied: true},
		}
	})
	err := s.EditConfiguration(id, json.RawMessage(`{"ingress":[{"hostname":"app.example.com","path":"/x","service":"http://x"},
		{"hostname":"*.example.com","service":"http://any"},{"service":"http_status:404"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s.EditApps(func([]json.RawMessage) []json.RawMessage {
		return []json.RawMessage{
			json.RawMessage(`{"domain":"app.example.com","policies":[{"decision":"allow","include":[{"email":{"email":"a@b"}}]}]}`),
			json.RawMessage(`{"domain":"app.example.com/x/open","policies":[{"decision":"bypass","include":[{"everyone":{}}]}]}`),
			json.RawMessage(`{"domain":"*.in.wild.example.com","policies":[]}`),
		}
	})
	for _, test := range []struct {
		host, path string
		want       Outcome
	}{
		{"app.example.com", "/", Outcome{Denied: true}},
		{"app.example.com", "/x/opened", Outcome{Denied: true}},
		{"app.example.com", "/x/open/1", Outcome{Tunnel: id, Service: "http://x"}},
		{"b.wild.example.com", "/", Outcome{Tunnel: id, Service: "http://any"}},
		{"b.in.wild.example.com", "/", Outcome{Denied: true}},
		{"none.example.com", "/", Outcome{}},
		{"bare.example.com", "/", Outcome{}},
		{"a.example.com", "/", Outcome{}},
		{"example.org", "/", Outcome{}},
	} {
		if got := s.Visit(test.host, test.path); got != test.want {
			t.Errorf("%s%s: %+v, want %+v", test.host, test.path, got, test.want)
		}
	}
	s.Disconnect(id, true)
	if got := s.Visit("app.example.com", "/x/open"); got.Reached() {
		t.Errorf("without a connector: %+v", got)
	}
}
