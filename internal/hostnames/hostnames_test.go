package hostnames

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/route"
)

func rendered(routes ...route.Route) project.Rendered {
	return project.Rendered{Project: project.Project{Routes: routes}, Unused: []route.Note{{Place: "f:1:2", Label: "dockflare.x", Why: "because"}}}
}

// TestPlan: routes by host, and why one is not published.
func TestPlan(t *testing.T) {
	t.Parallel()
	f := &fleet.Fleet{
		Hosts:  []fleet.Host{{Name: "alpha"}, {Name: "beta"}},
		Stacks: []fleet.Stack{{Name: "a", Host: "alpha"}, {Name: "b", Host: "alpha"}, {Name: "c"}},
		Ingress: fleet.Ingress{Provider: fleet.IngressCloudflare, Routes: []fleet.HostRoute{
			{Host: "beta", Declared: route.Declared{Hostname: "nas.x.y", Service: "http://10.0.0.5:80"}},
		}},
	}
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"b": {Host: "beta"}}}
	hosts := Plan(f, lock, map[string]project.Rendered{
		"a": rendered(route.Route{Hostname: "a.x.y", Service: "http://a:1", Of: "web"}, route.Route{Hostname: "a.x.y", Service: "http://b:1", Of: "other"}, route.Route{Hostname: "z.x.y", Closed: "no"}),
		"b": rendered(route.Route{Hostname: "b.x.y", Service: "http://b:1", Path: "/("}, route.Route{Hostname: "t.x.y", Service: "http://t:1", Claimants: []string{"a", "b"}}),
		"c": rendered(route.Route{Hostname: "c.x.y", Service: "http://c:1"}),
	})
	var got []string
	for _, h := range hosts {
		for _, r := range h.Routes {
			got = append(got, fmt.Sprintf("%s: %s %s: %s", h.Name, r.Owner, r.Key(), r.Not))
		}
		for _, r := range h.Rules {
			got = append(got, h.Name+"> "+r.Hostname+" "+r.Service)
		}
	}
	want := []string{
		": c c.x.y: ", "> c.x.y http://c:1", ">  http_status:404",
		"alpha: a a.x.y: ", "alpha: a a.x.y: web declares it, too", "alpha: a z.x.y: no", "alpha> a.x.y http://a:1", "alpha>  http_status:404",
		`beta: b b.x.y/(: the path "/(" is not a regular expression: missing closing ): ` + "`/(`", "beta: b t.x.y: a declares the hostname, too", "beta: host.beta nas.x.y: ", "beta> nas.x.y http://10.0.0.5:80", "beta>  http_status:404",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestPlanOfAThousandRoutes takes less than 200 ms.
func TestPlanOfAThousandRoutes(t *testing.T) {
	t.Parallel()
	stacks := map[string]project.Rendered{}
	f := &fleet.Fleet{}
	for i := range 100 {
		name := fmt.Sprintf("s%03d", i)
		f.Stacks = append(f.Stacks, fleet.Stack{Name: name, Host: "alpha"})
		var all []route.Route
		for j := range 10 {
			all = append(all, route.Route{Hostname: fmt.Sprintf("h%d.%s.example.com", j/2, name), Path: []string{"", "/api"}[j%2], Service: "http://a:1"})
		}
		stacks[name] = rendered(all...)
	}
	began := time.Now()
	hosts := Plan(f, fleet.Lock{}, stacks)
	took := time.Since(began)
	t.Logf("1,000 routes planned in %v", took)
	if len(hosts[0].Rules) != 1001 || route.Check(hosts[0].Rules) != nil || took > 200*time.Millisecond {
		t.Errorf("%d rules in %v", len(hosts[0].Rules), took)
	}
}

func TestUnusedAndFindings(t *testing.T) {
	t.Parallel()
	stacks := map[string]project.Rendered{"a": rendered(), "b": rendered()}
	if all, one := Unused(stacks, ""), Unused(stacks, "b"); len(all) != 2 || len(one) != 1 || one[0].Stack != "b" {
		t.Errorf("%+v, %+v", all, one)
	}
	found := Findings([]finding.Finding{{Code: finding.StackBroken, Severity: finding.Fatal}, {Code: finding.StackBroken, Severity: finding.Fatal, Stack: "a"}, {Code: finding.RouteClosed}, {Code: finding.LabelIgnored}, {Code: finding.RouteUnreached}})
	if len(found) != 4 {
		t.Errorf("%+v", found)
	}
}
