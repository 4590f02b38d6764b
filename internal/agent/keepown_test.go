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
