package dockflare

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/fleet"
	"salvor/internal/publish"
	"salvor/internal/route"
)

// TestNotReady: DockFlare's connector runs on until Salvor's has the newest rules of its tunnel.
func TestNotReady(t *testing.T) {
	t.Parallel()
	home := cloudflare.Tunnel{ID: "1", Name: "home"}
	for want, list := range map[string]agentapi.RouteList{
		"":                           {Tunnel: "home", Version: 3, Connector: 3},
		"the API is away":            {Tunnel: "home", Version: 3, Connector: 3, Why: "the API is away"},
		"does not serve the tunnel":  {Tunnel: "salvor-home.alpha", Version: 3, Connector: 3},
		"has version 0 of the rules": {Tunnel: "home"},
		"has version 2 of the rules": {Tunnel: "home", Version: 3, Connector: 2},
	} {
		if err := notReady(list, home); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", list, err)
		}
	}
}

// TestManual: what a rule says is Cloudflare's, who may in is DockFlare's; what ingress.routes
// can't say is named, and so is what would lose its protection.
func TestManual(t *testing.T) {
	t.Parallel()
	f := &Fleet{Declared: &fleet.Fleet{Ingress: fleet.Ingress{Provider: fleet.IngressCloudflare,
		Access: []route.AccessGroup{{Name: "family", Emails: []string{"ann@example.com"}}},
		Routes: []fleet.HostRoute{{Host: "alpha", Declared: route.Declared{Hostname: "there.x.y", Service: "http://a"}}},
	}}}
	state := State{}
	rule := func(hostname, path, origin string, groups []string, ofZone bool) route.Rule {
		state.Rules = append(state.Rules, StateRule{Hostname: hostname, Path: path, Manual: true, Groups: groups, OfZone: ofZone})
		content, err := json.Marshal(map[string]any{"hostname": hostname, "path": path, "service": "https://nas:5001", "originRequest": json.RawMessage(origin)})
		if err != nil {
			t.Fatal(err)
		}
		var r route.Rule
		if err := r.UnmarshalJSON(content); err != nil {
			t.Fatal(err)
		}
		return r
	}
	a := publish.Actual{Apps: []cloudflare.App{{Domain: "app.x.y"}}}
	a.Config = a.Config.With([]route.Rule{
		rule("ok.x.y", "/api", `{"noTLSVerify":true,"originServerName":"nas","httpHostHeader":"h","http2Origin":false}`, []string{"family"}, false),
		rule("app.x.y", "", `{}`, nil, false), rule("open.x.y", "", `{}`, nil, false), rule("zone.x.y", "", `{}`, nil, true), rule("there.x.y", "", `{}`, nil, false),
		rule("option.x.y", "", `{"http2Origin":true}`, nil, false), rule("group.x.y", "", `{}`, []string{"famly"}, false), {Service: "http_status:404"},
	})
	got := map[string]string{}
	for _, m := range f.manual("alpha", state, a) {
		got[m.Rule] = m.Why
	}
	want := map[string]string{
		"ok.x.y/api": "", "open.x.y": "",
		"app.x.y":    "DockFlare's state does not say who may in, and an application protects it: declare it under ingress.routes with access",
		"zone.x.y":   "an application for all of its zone protects it, which an entry of ingress.routes can't say",
		"option.x.y": "its rule has the option http2Origin, which ingress.routes does not have",
		"group.x.y":  `"famly" is not an access group, did you mean "family"?`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	ok := f.manual("alpha", state, a)[0].Route
	if !ok.Origin.NoTLSVerify || ok.Origin.ServerName != "nas" || ok.Origin.HostHeader != "h" || ok.Service != "https://nas:5001" || ok.Path != "/api" || ok.Host != "alpha" {
		t.Errorf("%+v", ok)
	}
}

// TestControls: DockFlare and its agent by any tag or registry, and nothing that is called alike.
func TestControls(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{
		"alplat/dockflare:stable": true, "ghcr.io/x/dockflare@sha256:aa": true, "localhost:5000/dockflare-agent:v1": true, "dockflare": true,
		"alplat/dockflare-webmail": false, "cloudflare/cloudflared:latest": false, "": false,
	} {
		if controls(image) != want {
			t.Errorf("%s: %v", image, !want)
		}
	}
}
