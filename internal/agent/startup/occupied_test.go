package startup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// TestLostNotesKeepTheData is fault V1: what Salvor noted is lost, all of it or
// the marker alone, while the stack runs or after a boot. Its data is newer than
// its snapshot and stays where it is: nothing is restored over it.
func TestLostNotesKeepTheData(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, s *agenttest.Stand){
		"everything, running": func(t *testing.T, s *agenttest.Stand) { s.Forget(t) },
		"everything, after a boot": func(t *testing.T, s *agenttest.Stand) {
			s.Forget(t)
			s.Engine.Containers[0].State = "exited"
		},
		"the marker": func(t *testing.T, s *agenttest.Stand) {
			if err := os.Remove(filepath.Join(s.Paths.State, "volumes", s.Stack.Name, "data.json")); err != nil {
				t.Fatal(err)
			}
		},
		"damaged marker": func(t *testing.T, s *agenttest.Stand) {
			heretest.Write(t, filepath.Join(s.Paths.State, "volumes", s.Stack.Name, "data.json"), "{}")
		},
		"everything, before the host heard that the volume is born": func(t *testing.T, s *agenttest.Stand) {
			s.Forget(t)
			s.Stack.Volumes[0].Born = time.Time{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.NewStand(t, false)
			s.Started(t, "rows 1 to 145")
			s.Take(t)
			s.Write(t, "rows 1 to 310")
			s.Engine.Containers = []agenttest.Container{{Name: "notes-web-1", Project: s.Stack.Name, State: "running", Gated: true, Mounts: []string{s.Volume().Path}}}
			lose(t, s)
			if found := s.Occupied(t); len(found) > 0 {
				t.Errorf("plan: %v", found)
			}
			r, err := s.Supply(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Read(t); got != "rows 1 to 310" {
				t.Errorf("the data is %q", got)
			}
			if s.Engine.Ran(" stop") || len(s.Kept(t)) > 0 {
				t.Error("the stack was stopped, or its data moved")
			}
			if err := s.Here().AllReady(); err != nil {
				t.Error(err)
			}
			if f := r.Receipt.Findings; len(f) != 1 || f[0].Code != finding.VolumeTaken {
				t.Errorf("receipt: %v", f)
			}
		})
	}
}

// TestOccupied is faults V3 and D1: where a new volume would start is data, or a
// project of its name runs. Nothing is moved or stopped; plan and apply name what can
// be done, and what is done by consent loses nothing.
func TestOccupied(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(h *here.Host, v *project.Volume){
		"named volume":    func(_ *here.Host, v *project.Volume) { v.Docker, v.Path = "diary_data", "" },
		"external volume": func(_ *here.Host, v *project.Volume) { v.Docker, v.Path = "oldnotes", "" },
		"relative bind": func(h *here.Host, v *project.Volume) {
			v.Path = filepath.Join(h.Paths.State, "stacks", "notes", "data")
		},
		"absolute bind": func(h *here.Host, v *project.Volume) { v.Path = filepath.Join(h.Paths.Run, "srv") },
	} {
		for _, sealed := range []bool{true, false} {
			for _, consent := range []project.Consent{"", project.ConsentFresh, project.ConsentTake} {
				t.Run(name+", "+string(consent), func(t *testing.T) {
					s := agenttest.NewStand(t, false)
					place(s.Host, &s.Stack.Volumes[0])
					s.Write(t, "60 rows")
					s.Engine.Containers = []agenttest.Container{{Name: "diary-app-1", Project: s.Stack.Name, State: "running", Mounts: []string{s.Volume().Path}}}
					s.Stack.Consent = consent
					seal := s.Stack.Sealed
					if !sealed {
						s.Stack.Sealed = nil // as at the first plan
					}
					if found := s.Occupied(t); (consent == "") != (len(found) == 1 && found[0].Code == finding.VolumeOccupied && found[0].Severity == finding.Fatal) {
						t.Fatalf("plan: %v", found)
					}
					s.Stack.Sealed = seal
					_, err := s.Supply(t)
					switch consent {
					case "":
						if err == nil || s.Read(t) != "60 rows" || s.Engine.Ran(" stop") {
							t.Errorf("apply: %v; %q", err, s.Read(t))
						}
					case project.ConsentTake:
						if err != nil || s.Read(t) != "60 rows" || s.Engine.Ran(" stop") {
							t.Errorf("take: %v; %q", err, s.Read(t))
						}
					case project.ConsentFresh:
						s.Write(t, "new")
						if err != nil || !s.Engine.Ran(" stop") || len(s.Kept(t)) != 1 || s.Kept(t)[0] != "60 rows" {
							t.Fatalf("fresh: %v; kept %v", err, s.Kept(t))
						}
						if name == "named volume" {
							s.Take(t)
						}
						if len(s.Kept(t)) != 1 || len(keeper.New(s.Host).SetAsideFindings(s.Here())) != 1 {
							t.Error("the only copy was deleted by a snapshot of other data, or is not listed")
						}
					}
				})
			}
		}
	}
}

// TestAProjectOfThatNameRuns is faults V3 and D1 for a stack without volumes.
func TestAProjectOfThatNameRuns(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false, agenttest.Container{Name: "site-web-1", Project: heretest.Stack, State: "running"})
	s.Stack.Volumes = nil
	if found := s.Occupied(t); len(found) != 1 || found[0].Code != finding.VolumeOccupied {
		t.Errorf("plan: %v", found)
	}
	if _, err := s.Supply(t); err == nil || !strings.Contains(err.Error(), "Salvor did not start") {
		t.Errorf("apply: %v", err)
	}
	s.Engine.Containers[0].Gated = true
	if _, err := s.Supply(t); err != nil {
		t.Errorf("Salvor's own: %v", err)
	}
}

// TestNothingWritesWhileVolumesChangeHands is fault V1, second half: before data
// is put into place the engine is asked, whatever the notes say. The stack's own
// containers are stopped; another's are left alone, and so is the data.
func TestNothingWritesWhileVolumesChangeHands(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "old")
	s.Take(t)
	s.Place(t, 2, true)
	s.Write(t, "diverged")
	s.Engine.Containers = []agenttest.Container{
		{Name: "notes-web-1", Project: s.Stack.Name, State: "running", Gated: true, Mounts: []string{s.Volume().Path}},
		{Name: "backup", State: "running", Mounts: []string{filepath.Join(s.Volume().Path, "sub")}},
	}
	if _, err := s.Supply(t); err == nil || !strings.Contains(err.Error(), "backup writes to it") {
		t.Fatalf("with another's container: %v", err)
	}
	if s.Engine.Ran(" stop") || s.Read(t) != "diverged" {
		t.Error("the stack was stopped, or its data moved, before that was refused")
	}
	s.Engine.Containers[1].State = "exited"
	if _, err := s.Supply(t); err != nil {
		t.Fatal(err)
	}
	if !s.Engine.Ran(heretest.Stack+" stop") || s.Read(t) != "old" || len(s.Kept(t)) != 1 {
		t.Errorf("stopped: %v; the data is %q, kept %v", s.Engine.Ran(" stop"), s.Read(t), s.Kept(t))
	}
	s.Write(t, "newer")
	s.Take(t)
	s.Write(t, "newer still")
	s.Take(t)
	if kept := s.Kept(t); len(kept) != 1 || kept[0] != "diverged" {
		t.Errorf("diverged data after good snapshots of other data: %v", kept)
	}
	if found := keeper.New(s.Host).SetAsideFindings(s.Here()); len(found) != 1 || !strings.Contains(found[0].Text, "it is not in any snapshot") {
		t.Errorf("listed: %v", found)
	}
}

// TestAVolumeMadeAgainIsRestored is fault V4: a Docker volume that was removed
// and made again is missing, not empty. It is never taken, and its newest
// snapshot comes back.
func TestAVolumeMadeAgainIsRestored(t *testing.T) {
	t.Parallel()
	for name, remake := range map[string]func(t *testing.T, s *agenttest.Stand){
		"removed": func(*testing.T, *agenttest.Stand) {},
		"empty": func(t *testing.T, s *agenttest.Stand) {
			if err := os.Mkdir(s.Volume().Path, 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := agenttest.NewStand(t, false)
			s.Started(t, "890 rows")
			s.Take(t)
			if err := os.RemoveAll(s.Volume().Path); err != nil {
				t.Fatal(err)
			}
			remake(t, s)
			if _, err := keeper.New(s.Host).Take(t.Context(), s.Here(), keeper.Taking{Force: true, Sink: progress.Discard()}); err == nil {
				t.Error("a snapshot of the new volume was taken")
			}
			if _, err := s.Supply(t); err != nil {
				t.Fatal(err)
			}
			if got := s.Read(t); got != "890 rows" {
				t.Errorf("the data is %q", got)
			}
		})
	}
	t.Run("with data", func(t *testing.T) {
		s := agenttest.NewStand(t, false)
		s.Started(t, "890 rows")
		s.Take(t)
		if err := os.RemoveAll(s.Volume().Path); err != nil {
			t.Fatal(err)
		}
		s.Write(t, "38 rows")
		if _, err := keeper.New(s.Host).Take(t.Context(), s.Here(), keeper.Taking{Force: true, Accept: true, Sink: progress.Discard()}); err == nil {
			t.Error("a snapshot of the new volume was taken")
		}
		if found := s.Occupied(t); len(found) != 1 || found[0].Code != finding.VolumeOccupied {
			t.Errorf("plan: %v", found)
		}
		s.Stack.Consent = project.ConsentRestore
		if _, err := s.Supply(t); err != nil {
			t.Fatal(err)
		}
		if got := s.Read(t); got != "890 rows" || len(s.Kept(t)) != 1 {
			t.Errorf("the data is %q, kept %v", got, s.Kept(t))
		}
	})
}

// TestDataInNoSnapshotIsTaken is fault V13: a stack that never had a snapshot
// comes back to the host with its data. Nothing is lost by what the hints say,
// and one command takes it.
func TestDataInNoSnapshotIsTaken(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "200 rows")
	s.Place(t, 3, true)
	_, err := s.Supply(t)
	if err == nil || s.Read(t) != "200 rows" {
		t.Fatalf("%v; %q", err, s.Read(t))
	}
	s.Stack.Consent = project.ConsentTake
	if _, err := s.Supply(t); err != nil {
		t.Fatal(err)
	}
	s.Stack.Consent = ""
	if r := s.Take(t); r.Snapshot.Epoch != 3 || s.Read(t) != "200 rows" {
		t.Errorf("%+v; %q", r, s.Read(t))
	}
}

// TestARestoreLosesNothing is fault V1's kind: what was written after the
// snapshot of the present and before the stop is in a snapshot, too, before what
// was moved aside is deleted.
func TestARestoreLosesNothing(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "old")
	first := s.Take(t)
	s.Write(t, "newer")
	s.Engine.Containers = []agenttest.Container{{Name: "notes-web-1", Project: s.Stack.Name, State: "running", Gated: true, Mounts: []string{s.Volume().Path}}}
	s.Engine.Stopping = func() { s.Write(t, "newest") }
	s.Restore(t, first.Snapshot.ID)
	s.Engine.Stopping = nil
	kept, err := snapshot.KeptOf(s.Volume())
	if err != nil || len(kept) != 1 || kept[0].Snapshot == "" || s.Read(t) != "old" {
		t.Fatalf("kept %+v, %v; the data is %q", kept, err, s.Read(t))
	}
	s.Take(t) // the one that the restore owes leaves it there
	s.Take(t)
	if left := s.Kept(t); len(left) != 0 {
		t.Errorf("kept %v", left)
	}
	s.Restore(t, kept[0].Snapshot)
	if got := s.Read(t); got != "newest" {
		t.Errorf("what the stack had is %q", got)
	}
}

// TestAFullDiskKeepsNothingFromStarting is fault V19, the full disk: neither the
// journal nor a note can be written. That is a finding and no error.
func TestAFullDiskKeepsNothingFromStarting(t *testing.T) {
	t.Parallel()
	s := agenttest.NewStand(t, false)
	s.Started(t, "rows")
	// a file in place of each folder: nothing can be written there, by root either
	for _, dir := range []string{s.Journal.Dir, filepath.Dir(s.Paths.Placement("x"))} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		heretest.Write(t, dir, "")
	}
	r, err := s.Supply(t)
	if err != nil || len(r.Receipt.Findings) != 0 {
		t.Fatal(r.Receipt.Findings, err)
	}
	if got := s.Read(t); got != "rows" {
		t.Errorf("the data is %q", got)
	}
}
