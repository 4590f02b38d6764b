package check

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

const twoHosts = head + "hosts:\n  alpha: {address: 192.0.2.1}\n  beta: {address: 192.0.2.2}\n"

func joins(name string) project.Rendered {
	return project.Rendered{Networks: []project.Network{{Name: name, External: true, Position: "stacks/web/compose.yaml:3:11"}}}
}

// TestNetworkThatNothingMakes is issue 13, case 15: check and plan were silent about a
// network that fleet.yaml does not declare, and apply failed on the host.
func TestNetworkThatNothingMakes(t *testing.T) {
	t.Parallel()
	const web = "stacks/web/compose.yaml"
	const lock = `{"schema": 1, "stacks": {"web": {"host": "alpha", "epoch": 1}}}`
	proxy := func(external bool) project.Rendered {
		return project.Rendered{Networks: []project.Network{{Name: "proxy", External: external}}}
	}
	for name, c := range map[string]struct {
		files  map[string]string
		stacks map[string]project.Rendered
		want   []string
	}{
		"undeclared": {
			files: map[string]string{fleet.File: twoHosts}, stacks: map[string]project.Rendered{"web": joins("proxy")},
			want: []string{"fatal network-missing stacks/web/compose.yaml:3:11: web joins the network proxy, which neither fleet.yaml nor another stack on alpha makes (add to fleet.yaml: networks: {proxy: {}})"},
		},
		"beside another": {
			files: map[string]string{fleet.File: twoHosts + "networks: {other: {}}\n"}, stacks: map[string]project.Rendered{"web": joins("proxy")},
			want: []string{"fatal network-missing stacks/web/compose.yaml:3:11: web joins the network proxy, which neither fleet.yaml nor another stack on alpha makes (add under networks: in fleet.yaml: proxy: {})"},
		},
		"of a stack that runs": {
			files: map[string]string{fleet.File: twoHosts, "salvor.lock": lock}, stacks: map[string]project.Rendered{"web": joins("proxy")},
			want: []string{"warning network-missing stacks/web/compose.yaml:3:11: web joins the network proxy, which neither fleet.yaml nor another stack on alpha makes (add to fleet.yaml: networks: {proxy: {}})"},
		},
		"declared":        {files: map[string]string{fleet.File: twoHosts + "networks: {proxy: {}}\n"}, stacks: map[string]project.Rendered{"web": joins("proxy")}},
		"of every engine": {files: map[string]string{fleet.File: twoHosts}, stacks: map[string]project.Rendered{"web": joins("host")}},
		"of another stack": {
			files: map[string]string{fleet.File: twoHosts, "stacks/traefik/compose.yaml": "x-salvor: {host: alpha}\n"}, stacks: map[string]project.Rendered{"web": joins("proxy"), "traefik": proxy(false)},
			want: []string{"warning network-missing stacks/web/compose.yaml:3:11: stack traefik makes the network proxy that web joins, and may start after it (x-salvor: {needs: [traefik]} in stacks/web/compose.yaml)"},
		},
		"of a stack on another host": {
			files: map[string]string{fleet.File: twoHosts, "stacks/traefik/compose.yaml": "x-salvor: {host: beta}\n"}, stacks: map[string]project.Rendered{"web": joins("proxy"), "traefik": proxy(false)},
			want: []string{"fatal network-missing stacks/web/compose.yaml:3:11: web joins the network proxy, which neither fleet.yaml nor another stack on alpha makes (add to fleet.yaml: networks: {proxy: {}})"},
		},
		"of a stack that it needs": {
			files:  map[string]string{fleet.File: twoHosts, "stacks/traefik/compose.yaml": "x-salvor: {host: alpha}\n", web: "x-salvor: {host: alpha, needs: [traefik]}\n"},
			stacks: map[string]project.Rendered{"web": joins("proxy"), "traefik": proxy(false)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.files[web] == "" {
				c.files[web] = "x-salvor: {host: alpha}\n"
			}
			found := Networks(declaring(t, c.files), c.stacks)
			if diff := cmp.Diff(c.want, lines(found)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, f := range found {
				if (f.Stack == "web") != (f.Severity == finding.Fatal) {
					t.Errorf("it is about the stack %q", f.Stack)
				}
			}
			for _, f := range BeforeCommit(found) {
				if f.Severity != finding.Warning || f.Stack != "" {
					t.Errorf("before it is committed: %+v", f)
				}
			}
		})
	}
}

// TestContainerNamesClash: the second stack with a container_name fails to start.
func TestContainerNamesClash(t *testing.T) {
	t.Parallel()
	repo := declaring(t, map[string]string{
		fleet.File: twoHosts, "stacks/a/compose.yaml": "x-salvor: {host: alpha}\n", "stacks/b/compose.yaml": "x-salvor: {host: alpha}\n",
		"stacks/c/compose.yaml": "x-salvor: {host: beta}\n", "stacks/d/compose.yaml": "services: {}\n",
	})
	named := project.Rendered{Containers: []project.Container{{Name: "own", Service: "x"}, {Name: "redis", Service: "cache"}}}
	second := project.Rendered{Containers: []project.Container{{Name: "redis", Service: "db", Position: "stacks/b/compose.yaml:3:5"}}}
	found := Findings(repo, kept{}, map[string]project.Rendered{"a": named, "b": second, "c": named, "d": named})
	var got []string
	for _, line := range lines(found) {
		if found[0].Code == finding.ContainerTaken {
			got = append(got, line)
		}
	}
	want := []string{"warning container-taken stacks/b/compose.yaml:3:5: a/cache and b/db both have container_name: redis on alpha (remove the container_name of one of them)"}
	if diff := cmp.Diff(want, got[:1]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestOneTargetForManyStacks: before a commit the fleet's lack is said once.
func TestOneTargetForManyStacks(t *testing.T) {
	t.Parallel()
	var found []finding.Finding
	for _, stack := range []string{"a", "b", "c", "d"} {
		st := fleet.Stack{Name: stack, Dir: "stacks/" + stack, File: "compose.yaml", Host: "alpha"}
		found = append(found, Unprotected(&fleet.Fleet{}, st, []project.Volume{{Source: "data", Protect: fleet.Snapshot}})...)
	}
	want := "warning target-missing fleet.yaml: there is no snapshot target, but data of 4 stacks needs snapshots: a, b, c and 1 more ("
	if got := lines(BeforeCommit(found)); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("%q", got)
	}
	if got := BeforeCommit(found[:1]); len(got) != 1 || got[0].Subject != "stacks/a/compose.yaml" {
		t.Errorf("%+v", got)
	}
}
