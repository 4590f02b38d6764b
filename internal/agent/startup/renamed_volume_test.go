package startup_test

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/project"
)

// TestARenamedVolumeKeepsItsData is faults V17 and D7: on its host a renamed volume's
// data comes along, newer than any snapshot, however often the run is interrupted;
// elsewhere it is restored from snapshots that have it under its old name.
func TestARenamedVolumeKeepsItsData(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	v := &s.Stack.Volumes[0]
	v.Docker, v.Path = "notes_data", ""
	s.Started(t, "758 rows")
	s.Take(t)
	s.Write(t, "759 rows")
	was := s.Volume().Path
	v.Name, v.Docker, v.Formerly = "store", "notes_store", "data"

	s.Engine.Containers = []agenttest.Container{{Name: "backup", State: "running", Mounts: []string{was}}}
	if _, err := s.Supply(t); err == nil {
		t.Error("the volume was moved while a container writes to it")
	}
	s.Engine.Containers = []agenttest.Container{{Name: "notes-web-1", Project: s.Stack.Name, State: "running", Gated: true, Mounts: []string{was}}}
	if found := s.Occupied(t); len(found) > 0 {
		t.Errorf("plan: %v", found)
	}
	// interrupted between the move and the marker
	if err := os.MkdirAll(filepath.Dir(s.Volume().Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(was, s.Volume().Path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Supply(t); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Read(t); got != "759 rows" || len(s.Kept(t)) > 0 {
		t.Errorf("the data is %q, kept %v", got, s.Kept(t))
	}
	if !s.Engine.Ran(" stop") {
		t.Error("the stack was not stopped first")
	}
	if m := s.Snapshots.Marker(s.Stack.Name, "data"); m.State != "" {
		t.Errorf("the marker under the old Name: %+v", m)
	}

	gamma := agenttest.NewStand(t, true)
	gamma.Remote = s.Remote
	gamma.Place(t, 2, true)
	gamma.Stack.Volumes = []project.Volume{*v}
	gamma.Stack.Volumes[0].Born = s.Stack.Volumes[0].Born
	if _, err := gamma.Supply(t); err != nil {
		t.Fatal(err)
	}
	if got := gamma.Read(t); got != "758 rows" {
		t.Errorf("restored %q", got)
	}
	gamma.Take(t)
}

// TestARenamedVolumeIsNotMovedOverData: where the new name is in use already, a
// person is asked.
func TestARenamedVolumeIsNotMovedOverData(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "758 rows")
	v := &s.Stack.Volumes[0]
	old := v.Path
	v.Name, v.Path, v.Formerly = "store", filepath.Join(s.Paths.Volumes, "store"), "data"
	s.Write(t, "somebody's")
	if _, err := s.Supply(t); err == nil || s.Read(t) != "somebody's" {
		t.Errorf("%v; %q", err, s.Read(t))
	}
	if got, _ := os.ReadFile(filepath.Join(old, "rows")); string(got) != "758 rows" {
		t.Errorf("the old one has %q", got)
	}
}
