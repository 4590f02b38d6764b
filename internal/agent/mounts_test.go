package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// TestAFormerMountStaysWhileItIsUsed: then it is a finding, and it is unmounted once nothing
// uses it.
func TestAFormerMountStaysWhileItIsUsed(t *testing.T) {
	stand := agenttest.NewStand(t, false, agenttest.Container{Name: "web", State: "running", Mounts: []string{"/mnt/nas/films"}})
	stand.Paths.Units, stand.Machine = t.TempDir(), stand.Engine
	unit := filepath.Join(stand.Paths.Units, "mnt-nas.mount")
	for name, content := range map[string]string{unit: "[Unit]\nDescription=/mnt/nas (Salvor)\n", filepath.Join(stand.Paths.Units, "mnt-own.mount"): "[Unit]\nDescription=mine\n"} {
		heretest.Write(t, name, content)
	}
	look := func() agentapi.HostState {
		t.Helper()
		var state agentapi.HostState
		if err := observeMounts(t.Context(), stand.Host, stand.Spec, &state); err != nil {
			t.Fatal(err)
		}
		if err := here.MountsOf(stand.Host, stand.Spec).Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		return state
	}
	state := look()
	agenttest.Only(t, state.Findings, finding.MountKept)
	if _, err := os.Stat(unit); err != nil || len(state.Changes) != 0 {
		t.Errorf("used: %v, %v", err, state.Changes)
	}
	stand.Engine.Containers = nil
	if state = look(); len(state.Findings) != 0 || len(state.Changes) != 1 || state.Changes[0].ID != "mount /mnt/nas" || state.Changes[0].Action != "-" {
		t.Errorf("not used: %+v", state)
	}
	if _, err := os.Stat(unit); !errors.Is(err, fs.ErrNotExist) || !stand.Engine.Ran("systemctl disable --now mnt-nas.mount") {
		t.Errorf("its unit: %v", err)
	}
}
