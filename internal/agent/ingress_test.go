package agent

import (
	"slices"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/publishing"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/route"
)

// TestRoutesAreKnownToEveryProcess: what the daemon saw last is what the verb answers and what
// status warns of, and what the brake keeps is a change that an apply makes.
func TestRoutesAreKnownToEveryProcess(t *testing.T) {
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	g.Spec.Ingress = &agentapi.Ingress{Routes: []route.Route{{Hostname: "nas.example.com", Service: "https://nas"}}}
	g.Spec.Stacks[0].Project.Routes = []route.Route{{Hostname: "notes.example.com", Service: "http://app", Of: "app"}}
	if err := g.SaveSpec(g.Spec); err != nil {
		t.Fatal(err)
	}
	h := (*Host)(g.Host)
	routes := func() agentapi.RouteList {
		t.Helper()
		list, err := Routes(h)(t.Context(), agentapi.AskRoutes{}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if rows := routes().Routes; len(rows) != 2 || rows[0].Owner != "host.alpha" || rows[1].Owner != heretest.Notes || rows[0].Why == "" {
		t.Errorf("before the daemon has looked: %+v", rows)
	}
	kept := finding.Finding{Code: finding.RoutesKept, Severity: finding.Warning, Subject: "alpha/salvor-home.alpha", Text: "7 of 7 hostnames would go"}
	if err := here.WriteJSON(hostpath.PublishingOf(g.Paths).Seen, agentapi.RouteList{Schema: agentapi.Schema, Why: "the token was refused", Findings: []finding.Finding{kept}}); err != nil {
		t.Fatal(err)
	}
	if list := routes(); list.Why == "" || len(list.Routes) > 0 {
		t.Errorf("%+v", list)
	}
	g.Machine.(*machinetest.Fake).Say(0, "/var/lib/salvor/made\n", "mktemp")
	state, err := h.Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range []finding.Code{finding.RoutesKept, finding.RoutesLate} {
		if !slices.ContainsFunc(state.Findings, func(f finding.Finding) bool { return f.Code == code }) {
			t.Errorf("no %s: %+v", code, state.Findings)
		}
	}
	if changes := publishing.Kept(g.Host); len(changes) != 1 || changes[0].Action != "-" {
		t.Errorf("%+v", changes)
	}
}
