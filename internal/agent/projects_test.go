package agent

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
)

// TestOwnProjects: with what they run, and without an image that another tag was asked for.
func TestOwnProjects(t *testing.T) {
	l := newPair(t)
	of := func(image string) agentapi.ProjectState {
		t.Helper()
		all, err := ownProjects(t.Context(), l.agent().Stacks, []agentapi.OwnProject{{Name: heretest.Stack, Image: image}})
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0]
	}
	one := of("reg/app:1")
	if len(one.Services) != 2 || one.Services[0].State != "running" || one.Name != heretest.Stack || pinnedAs("reg/app:1", map[string]string{"app": one.Image}) == "" {
		t.Errorf("%+v", one)
	}
	if other := of("reg/app:2"); other.Image != "" {
		t.Errorf("%s runs as reg/app:2", other.Image)
	}
	if all, err := ownProjects(t.Context(), l.agent().Stacks, nil); all != nil || err != nil {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestProjectChanges: a digest that the lock learned is not a change.
func TestProjectChanges(t *testing.T) {
	t.Parallel()
	host := func(image string) agentapi.Host {
		if image == "" {
			return agentapi.Host{}
		}
		return agentapi.Host{Projects: []agentapi.OwnProject{{Name: "salvor-x", Image: image}}}
	}
	for _, c := range []struct{ was, now, want string }{
		{"", "x:1", "[{ project salvor-x + x:1  false }]"},
		{"x:1", "x:2@sha256:b", "[{ project salvor-x ~ x:1 → x:2  false }]"},
		{"x:1", "x:1@sha256:a", "[]"},
		{"x:1@sha256:a", "", "[{ project salvor-x - nothing needs it any more  false }]"},
	} {
		if diff := cmp.Diff(c.want, fmt.Sprint(projectChanges(host(c.was), host(c.now)))); diff != "" {
			t.Errorf("%s to %s (-want +got)\n%s", c.was, c.now, diff)
		}
	}
}
