package agent

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
)

// TestHostKeepsItsOwnVersion is issue 10, C.12: a stack that does not load is left as
// it runs, with its schedule and its targets, and what the lock says still counts.
func TestHostKeepsItsOwnVersion(t *testing.T) {
	applied := appliedHost()
	asked := appliedHost()
	asked.Stacks = []agentapi.Stack{
		{Name: "notes", Epoch: 2, Sealed: []byte("s"), Kept: true},
		{Name: "never", Epoch: 1, Kept: true},
	}
	got := keepOwn(applied, asked)
	if diff := cmp.Diff(applied.Stacks[0], got.Stacks[0]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !got.Stacks[1].Kept {
		t.Error("a stack that the host never ran has a project")
	}
	if changes := settingsChanges(applied, got, nil); len(changes) > 0 {
		t.Errorf("the plan has %v", changes)
	}
	asked.Stacks[0].Stopped = true
	if got := keepOwn(applied, asked); !got.Stacks[0].Stopped || got.Stacks[0].Project.Hash != "h" {
		t.Errorf("stopped: %+v", got.Stacks[0])
	}
}

// TestASalvorWithoutRoutesTakesNoneOff: one of the protocol before says nothing of them.
func TestASalvorWithoutRoutesTakesNoneOff(t *testing.T) {
	applied := appliedHost()
	applied.Ingress, applied.Own = &agentapi.Ingress{Account: "a", Hosts: 1}, &agentapi.Stack{Name: "host.alpha", Epoch: 1}
	applied.Projects = []agentapi.OwnProject{{Name: "salvor-x"}}
	asked := appliedHost()
	asked.Schema = 3
	if got := keepOwn(applied, asked); got.Ingress == nil || got.Own == nil || len(got.Projects) != 1 {
		t.Errorf("%+v, %+v, %+v", got.Ingress, got.Own, got.Projects)
	}
	asked.Schema = agentapi.Schema
	if got := keepOwn(applied, asked); got.Ingress != nil || got.Own != nil || got.Projects != nil {
		t.Errorf("what is asked for no more stays: %+v, %+v, %+v", got.Ingress, got.Own, got.Projects)
	}
}
