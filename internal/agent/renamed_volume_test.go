package agent

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/project"
)

// TestARenamedVolumeKeepsItsData is faults V17 and D7: on its host a renamed volume's
// data comes along, newer than any snapshot, however often the run is interrupted;
// elsewhere it is restored from snapshots that have it under its old name.
func TestARenamedVolumeKeepsItsData(t *testing.T) {
	s := newStand(t, false)
	v := &s.st.Volumes[0]
	v.Docker, v.Path = "notes_data", ""
	s.started(t, "758 rows")
	mustTake(t, s.Host, s.st)
	s.write(t, "759 rows")
	was := s.volume().Path
	v.Name, v.Docker, v.Formerly = "store", "notes_store", "data"

	s.engine.containers = []container{{name: "backup", state: "running", mounts: []string{was}}}
	if _, err := s.supply(t); err == nil {
		t.Error("the volume was moved while a container writes to it")
	}
	s.engine.containers = []container{{name: "notes-web-1", project: s.st.Name, state: "running", gated: true, mounts: []string{was}}}
	if found := s.findings(t); len(found) > 0 {
		t.Errorf("plan: %v", found)
	}
	// interrupted between the move and the marker
	if err := os.MkdirAll(filepath.Dir(s.volume().Path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(was, s.volume().Path); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.supply(t); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.read(t); got != "759 rows" || len(s.kept(t)) > 0 {
		t.Errorf("the data is %q, kept %v", got, s.kept(t))
	}
	if !s.engine.ran(" stop") {
		t.Error("the stack was not stopped first")
	}
	if m := s.Snapshots.Marker(s.st.Name, "data"); m.State != "" {
		t.Errorf("the marker under the old name: %+v", m)
	}

	gamma := newStand(t, true)
	gamma.remote = s.remote
	gamma.place(t, 2, true)
	gamma.st.Volumes = []project.Volume{*v}
	gamma.st.Volumes[0].Born = s.st.Volumes[0].Born
	if _, err := gamma.supply(t); err != nil {
		t.Fatal(err)
	}
	if got := gamma.read(t); got != "758 rows" {
		t.Errorf("restored %q", got)
	}
	mustTake(t, gamma.Host, gamma.st)
}

// TestARenamedVolumeIsNotMovedOverData: where the new name is in use already, a
// person is asked.
func TestARenamedVolumeIsNotMovedOverData(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "758 rows")
	v := &s.st.Volumes[0]
	old := v.Path
	v.Name, v.Path, v.Formerly = "store", filepath.Join(s.Paths.Volumes, "store"), "data"
	s.write(t, "somebody's")
	if _, err := s.supply(t); err == nil || s.read(t) != "somebody's" {
		t.Errorf("%v; %q", err, s.read(t))
	}
	if got, _ := os.ReadFile(filepath.Join(old, "rows")); string(got) != "758 rows" {
		t.Errorf("the old one has %q", got)
	}
}
