package agent

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/route"
)

// TestRouteChanges: routes that come, change and go, and what is open to everyone then.
func TestRouteChanges(t *testing.T) {
	t.Parallel()
	family := &route.Access{Groups: []string{"family"}, Policies: []route.Policy{{Decision: route.Allow, Include: []route.Match{{Email: "ann@example.com"}}}}}
	wider := &route.Access{Groups: []string{"family"}, Policies: []route.Policy{{Decision: route.Allow, Include: []route.Match{{Domain: "example.com"}}}}}
	of := func(hostname string, access *route.Access) route.Route {
		return route.Route{Hostname: hostname, Service: "http://app:80", Access: access, Of: "app"}
	}
	closed := of("app.example.com", nil)
	closed.Closed = "the access group friends is not declared"
	moved := of("app.example.com", nil)
	moved.Position, moved.Service = "stacks/notes/compose.yaml:9:5", "http://app:81"
	host := func(routes []route.Route, own ...route.Route) agentapi.Host {
		return agentapi.Host{Name: "alpha", Ingress: &agentapi.Ingress{Routes: own}, Stacks: []agentapi.Stack{{Name: "notes", Project: project.Project{Routes: routes}}}}
	}
	one := func(r route.Route) agentapi.Host { return host([]route.Route{r}) }
	silent := host([]route.Route{of("app.example.com", nil)})
	silent.Ingress = nil
	for name, c := range map[string]struct {
		was, now agentapi.Host
		want     string
	}{
		"the first":         {silent, one(of("app.example.com", nil)), "[{notes route app.example.com + http://app:80 for everyone  true }]"},
		"of the host":       {host(nil), host(nil, of("nas.example.com", family)), "[{ route nas.example.com + http://app:80 for family  false }]"},
		"closed":            {host(nil), one(closed), "[{notes route app.example.com + the access group friends is not declared  false }]"},
		"gone":              {one(of("app.example.com", family)), host(nil), "[{notes route app.example.com - not published here any more  false }]"},
		"another service":   {one(of("app.example.com", nil)), one(moved), "[{notes route app.example.com ~ service http://app:80 → http://app:81  true }]"},
		"as it was":         {one(of("app.example.com", family)), one(of("app.example.com", family)), "[]"},
		"other people":      {one(of("app.example.com", family)), one(of("app.example.com", wider)), "[{notes route app.example.com ~ application " + asText(family) + " → " + asText(wider) + "  false }]"},
		"for everyone":      {one(of("app.example.com", family)), one(of("app.example.com", nil)), "[{notes route app.example.com ~ access family → everyone; application " + asText(family) + " → none  true app.example.com}]"},
		"of another owner":  {one(of("app.example.com", family)), host(nil, of("app.example.com", nil)), "[{ route app.example.com + http://app:80 for everyone  true app.example.com} {notes route app.example.com - not published here any more  false }]"},
		"falls to wildcard": {host([]route.Route{of("*.example.com", nil), of("app.example.com", family)}), one(of("*.example.com", nil)), "[{notes route app.example.com - not published here any more  false app.example.com}]"},
		"no more":           {one(of("app.example.com", family)), silent, "[{notes route app.example.com - not published here any more  false }]"},
	} {
		if diff := cmp.Diff(c.want, fmt.Sprint(routeChanges(c.was, c.now))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	if got := guarded(host([]route.Route{of("b.example.com", family), of("c.example.com", nil)}, of("a.example.com", family))); fmt.Sprint(got) != "[a.example.com b.example.com]" {
		t.Errorf("guarded are %v", got)
	}
}

// TestAnApplyOpensNothingUnasked: not where a command planned nothing, and not where another
// hostname was confirmed.
func TestAnApplyOpensNothingUnasked(t *testing.T) {
	t.Parallel()
	host := func(a *route.Access) agentapi.Host {
		return agentapi.Host{Name: "alpha", Ingress: &agentapi.Ingress{Routes: []route.Route{{Hostname: "app.example.com", Path: "/x", Service: "http://app:80", Access: a}}}}
	}
	family := &route.Access{Policies: []route.Policy{{Decision: route.Allow}}}
	for name, c := range map[string]struct {
		was, now *route.Access
		opens    []string
		refused  bool
	}{
		"nothing was confirmed": {family, nil, nil, true},
		"another hostname":      {family, nil, []string{"app.example.com"}, true},
		"confirmed":             {family, nil, []string{"app.example.com/x"}, false},
		"protected from now on": {nil, family, nil, false},
		"open before":           {nil, nil, nil, false},
	} {
		err := refuseOpening(host(c.was), agentapi.Apply{Host: host(c.now), Opens: c.opens})
		if (err != nil) != c.refused || err != nil && fault.Hint(err) != "salvor apply shows it, and asks" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAStackThatComesOrGoesIsNotRefused: what it publishes goes with it.
func TestAStackThatComesOrGoesIsNotRefused(t *testing.T) {
	t.Parallel()
	family := &route.Access{Policies: []route.Policy{{Decision: route.Allow}}}
	host := func(stacks map[string]route.Route) agentapi.Host {
		h := agentapi.Host{Ingress: &agentapi.Ingress{}}
		for name, r := range stacks {
			h.Stacks = append(h.Stacks, agentapi.Stack{Name: name, Project: project.Project{Routes: []route.Route{r}}})
		}
		return h
	}
	open, guarded := route.Route{Hostname: "*.example.com"}, route.Route{Hostname: "*.example.com", Access: family}
	notes := route.Route{Hostname: "app.example.com", Access: family}
	public := route.Route{Hostname: "app.example.com"}
	for name, c := range map[string]struct {
		was, now map[string]route.Route
		refused  bool
	}{
		"it goes, and a wildcard stays":         {map[string]route.Route{"web": open, "notes": notes}, map[string]route.Route{"web": open}, false},
		"it comes in front of a wildcard":       {map[string]route.Route{"web": guarded}, map[string]route.Route{"web": guarded, "notes": public}, false},
		"another one loses its protection then": {map[string]route.Route{"web": guarded}, map[string]route.Route{"web": open, "notes": notes}, true},
	} {
		if err := refuseOpening(host(c.was), agentapi.Apply{Host: host(c.now)}); (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
