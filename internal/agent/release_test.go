package agent

import (
	"path/filepath"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
)

// A move whose target never came up is moved on, or back: there is nothing to
// wait for on a host that never started the stack.
func TestReleaseOfAStackThatNeverStarted(t *testing.T) {
	dir := t.TempDir()
	h := &Host{Paths: hostpath.Layout{Config: filepath.Join(dir, "etc"), State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}}
	if err := h.base().SaveLocal("notes", here.Local{Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		receipt, err := h.Release(t.Context(), agentapi.Release{Stack: "notes", Epoch: 3}, nil)
		if err != nil || !receipt.Skipped {
			t.Errorf("release: %+v, %v", receipt, err)
		}
	}
	if _, err := h.Release(t.Context(), agentapi.Release{Stack: "notes", Epoch: 2}, nil); err == nil {
		t.Error("a stack that started here at that epoch, but is not in the host's part of the fleet, was let go of without a snapshot")
	}
}
