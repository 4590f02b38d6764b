package hostapp

import (
	"io"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
)

// TestALostStackIsMountedWhereItReturns: a host that had lost a stack could never mount its
// shared volumes again, so that a recovery or a move back failed.
func TestALostStackIsMountedWhereItReturns(t *testing.T) {
	dir := t.TempDir()
	h := &here.Host{Paths: hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}}
	for epoch, want := range map[int]string{1: "was taken over", 3: "has no shared volumes"} {
		spec := agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c1", Stacks: []agentapi.Stack{{Name: "album", Epoch: epoch}}}
		if err := h.SaveSpec(spec); err != nil {
			t.Fatal(err)
		}
		if err := h.SaveLocal("album", here.Local{Epoch: 1, Lost: true}); err != nil {
			t.Fatal(err)
		}
		if err := serveMounts(t.Context(), h, "album", io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("placed at epoch %d: %v, want %q", epoch, err, want)
		}
	}
}
