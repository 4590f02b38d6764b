package hostnames

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/route"
)

// TestBeside: what is declared is found in the answers, what is only there is named, and a host
// that does not answer has a row that says so.
func TestBeside(t *testing.T) {
	t.Parallel()
	declared := []Host{
		{Routes: []Route{{Owner: "new", Route: route.Route{Hostname: "new.x.y"}}}},
		{Name: "alpha", Routes: []Route{
			{Owner: "a", Route: route.Route{Hostname: "a.x.y", Path: "/p", Access: &route.Access{Groups: []string{"family", "work"}}}},
			{Owner: "a", Route: route.Route{Hostname: "b.x.y"}, Not: "it is closed"},
			{Owner: "a", Route: route.Route{Hostname: "c.x.y"}},
			{Owner: "a", Route: route.Route{Hostname: "d.x.y"}},
		}},
		{Name: "beta", Routes: []Route{{Owner: "e", Route: route.Route{Hostname: "e.x.y"}}}},
	}
	row := func(hostname, path string, live bool, why string) agentapi.RouteRow {
		return agentapi.RouteRow{Hostname: hostname, Path: path, Owner: "a", Rule: true, Live: live, Why: why}
	}
	got := []string{}
	for _, l := range Beside(declared, []deploy.HostRoutes{
		{Host: "alpha", List: agentapi.RouteList{Connector: 3, Why: "the last look failed", Routes: []agentapi.RouteRow{row("a.x.y", "/p", true, ""), row("a.x.y", "", false, ""), row("b.x.y", "", false, "closed there"), row("d.x.y", "", false, "")}}},
		{Host: "beta", Error: "no answer"}, {Host: "gamma", Error: "no answer"},
	}) {
		got = append(got, fmt.Sprintf("%s %s %s%s %s: declared %v, live %v, version %d: %s", l.Host, l.Owner, l.Hostname, l.Path, l.Who, l.Declared, l.Live, l.Version, l.Why))
	}
	want := []string{
		" new new.x.y everyone: declared true, live false, version 0: no host has it yet: salvor apply",
		"alpha a a.x.y everyone: declared false, live false, version 3: the last look failed",
		"alpha a a.x.y/p family, work: declared true, live true, version 3: ",
		"alpha a b.x.y everyone: declared true, live false, version 3: closed there",
		"alpha a c.x.y everyone: declared true, live false, version 0: the host does not have it yet: salvor apply",
		"alpha a d.x.y everyone: declared true, live false, version 3: the last look failed",
		"beta e e.x.y everyone: declared true, live false, version 0: beta does not answer",
		"gamma   : declared false, live false, version 0: gamma does not answer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
