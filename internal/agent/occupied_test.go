package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// stand is a host with one stack on an engine, for tests of what becomes of
// volumes.
type stand struct {
	*Host
	engine *engine
	remote string
	spec   agentapi.Host
	st     agentapi.Stack
}

// newStand returns a host that the stack is placed on at epoch 1; born says
// whether the lock knows its volume.
func newStand(t *testing.T, born bool, containers ...container) *stand {
	t.Helper()
	h := newHost(t)
	memory, err := os.MkdirTemp("/dev/shm", "salvor-test-") // secrets are refused on a disk
	if err == nil {
		err = os.Mkdir(filepath.Join(memory, "secrets"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	h.Paths.Run = memory
	s := &stand{Host: h, engine: withEngine(t, h, containers...), remote: t.TempDir(), spec: agentapi.Host{Fleet: "home", Name: "alpha"}}
	s.place(t, 1, born)
	return s
}

// place gives the stack a placement here.
func (s *stand) place(t *testing.T, epoch int, born bool) {
	t.Helper()
	s.st = heretest.Sealed(t, s.base(), s.remote, epoch, "aaaa0001")
	s.st.Project.Hash, s.st.Project.Dir = "sha256:1", "/var/lib/salvor/stacks/"+s.st.Name
	if born {
		s.st.Volumes[0].Born = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	}
}

func (s *stand) volume() snapshot.Volume { return s.base().At(s.spec, s.st).Protected()[0] }

// supply does what an apply does before the start.
func (s *stand) supply(t *testing.T) (*startup.Run, error) {
	t.Helper()
	r := startup.New(s.keeper(), s.spec, progress.Discard())
	r.Prepared()
	a, err := s.base().At(s.spec, s.st).Open()
	if err != nil {
		t.Fatal(err)
	}
	d := a.Deployment()
	return r, r.On(a).PrepareVolumes(t.Context(), &d, &agentapi.StackReceipt{})
}

// started has the stack in use here: its volume is ready, holds content and is
// noted.
func (s *stand) started(t *testing.T, content string) {
	t.Helper()
	if _, err := s.supply(t); err != nil {
		t.Fatal(err)
	}
	if err := s.base().SaveLocal(s.st.Name, here.Local{Epoch: s.st.Epoch}); err != nil {
		t.Fatal(err)
	}
	s.write(t, content)
	s.st.Volumes[0].Born = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
}

func (s *stand) write(t *testing.T, content string) {
	t.Helper()
	if err := os.MkdirAll(s.volume().Path, 0o755); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, filepath.Join(s.volume().Path, "rows"), content)
}

func (s *stand) read(t *testing.T) string {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(s.volume().Path, "rows"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(got)
}

// kept returns what was moved aside, newest last.
func (s *stand) kept(t *testing.T) []string {
	t.Helper()
	all, err := snapshot.KeptOf(s.volume())
	if err != nil {
		t.Fatal(err)
	}
	var contents []string
	for _, k := range all {
		got, err := os.ReadFile(filepath.Join(k.Path, "rows"))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(got))
	}
	return contents
}

// forget loses everything that Salvor noted.
func (s *stand) forget(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.Paths.State)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(s.Paths.State, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *stand) findings(t *testing.T) []finding.Finding {
	t.Helper()
	seen, err := s.Stacks.Observe(t.Context(), s.st.Name)
	if err != nil {
		t.Fatal(err)
	}
	_, found, err := s.stackChanges(t.Context(), s.base().At(s.spec, s.st), seen[0])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestLostNotesKeepTheData is fault V1: what Salvor noted is lost, all of it or
// the marker alone, while the stack runs or after a boot. Its data is newer than
// its snapshot, stays where it is, and is no longer anything to be restored.
func TestLostNotesKeepTheData(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, s *stand){
		"everything, running": func(t *testing.T, s *stand) { s.forget(t) },
		"everything, after a boot": func(t *testing.T, s *stand) {
			s.forget(t)
			s.engine.containers[0].state = "exited"
		},
		"the marker": func(t *testing.T, s *stand) {
			if err := os.Remove(filepath.Join(s.Paths.State, "volumes", s.st.Name, "data.json")); err != nil {
				t.Fatal(err)
			}
		},
		"damaged marker": func(t *testing.T, s *stand) {
			heretest.Write(t, filepath.Join(s.Paths.State, "volumes", s.st.Name, "data.json"), "{}")
		},
		"everything, before the host heard that the volume is born": func(t *testing.T, s *stand) {
			s.forget(t)
			s.st.Volumes[0].Born = time.Time{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, false)
			s.started(t, "rows 1 to 145")
			mustTake(t, s.Host, s.st)
			s.write(t, "rows 1 to 310")
			s.engine.containers = []container{{name: "notes-web-1", project: s.st.Name, state: "running", gated: true, mounts: []string{s.volume().Path}}}
			lose(t, s)
			if found := s.findings(t); len(found) > 0 {
				t.Errorf("plan: %v", found)
			}
			r, err := s.supply(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.read(t); got != "rows 1 to 310" {
				t.Errorf("the data is %q", got)
			}
			if s.engine.ran(" stop") || len(s.kept(t)) > 0 {
				t.Error("the stack was stopped, or its data moved")
			}
			if err := s.base().At(s.spec, s.st).AllReady(); err != nil {
				t.Error(err)
			}
			if f := r.Receipt.Findings; len(f) != 1 || f[0].Code != finding.VolumeTaken {
				t.Errorf("receipt: %v", f)
			}
		})
	}
}

// TestOccupied is faults V3 and D1: where a new volume would start lies data, or
// a project of its name runs. Nothing is moved or stopped; plan and apply name
// what can be done, and what is done by consent loses nothing.
func TestOccupied(t *testing.T) {
	for name, place := range map[string]func(h *Host, v *project.Volume){
		"named volume":    func(_ *Host, v *project.Volume) { v.Docker, v.Path = "diary_data", "" },
		"external volume": func(_ *Host, v *project.Volume) { v.Docker, v.Path = "oldnotes", "" },
		"relative bind":   func(h *Host, v *project.Volume) { v.Path = filepath.Join(h.Paths.State, "stacks", "notes", "data") },
		"absolute bind":   func(h *Host, v *project.Volume) { v.Path = filepath.Join(h.Paths.Run, "srv") },
	} {
		for _, sealed := range []bool{true, false} {
			for _, consent := range []project.Consent{"", project.ConsentFresh, project.ConsentTake} {
				t.Run(name+", "+string(consent), func(t *testing.T) {
					s := newStand(t, false)
					place(s.Host, &s.st.Volumes[0])
					s.write(t, "60 rows")
					s.engine.containers = []container{{name: "diary-app-1", project: s.st.Name, state: "running", mounts: []string{s.volume().Path}}}
					s.st.Consent = consent
					seal := s.st.Sealed
					if !sealed {
						s.st.Sealed = nil // as at the first plan
					}
					if found := s.findings(t); (consent == "") != (len(found) == 1 && found[0].Code == finding.VolumeOccupied && found[0].Severity == finding.Fatal) {
						t.Fatalf("plan: %v", found)
					}
					s.st.Sealed = seal
					_, err := s.supply(t)
					switch consent {
					case "":
						if err == nil || s.read(t) != "60 rows" || s.engine.ran(" stop") {
							t.Errorf("apply: %v; %q", err, s.read(t))
						}
					case project.ConsentTake:
						if err != nil || s.read(t) != "60 rows" || s.engine.ran(" stop") {
							t.Errorf("take: %v; %q", err, s.read(t))
						}
					case project.ConsentFresh:
						s.write(t, "new")
						if err != nil || !s.engine.ran(" stop") || len(s.kept(t)) != 1 || s.kept(t)[0] != "60 rows" {
							t.Fatalf("fresh: %v; kept %v", err, s.kept(t))
						}
						if name == "named volume" {
							mustTake(t, s.Host, s.st)
						}
						if len(s.kept(t)) != 1 || len(s.keeper().SetAsideFindings(s.base().At(s.spec, s.st))) != 1 {
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
	s := newStand(t, false, container{name: "site-web-1", project: heretest.Stack, state: "running"})
	s.st.Volumes = nil
	if found := s.findings(t); len(found) != 1 || found[0].Code != finding.VolumeOccupied {
		t.Errorf("plan: %v", found)
	}
	if _, err := s.supply(t); err == nil || !strings.Contains(err.Error(), "Salvor did not start") {
		t.Errorf("apply: %v", err)
	}
	s.engine.containers[0].gated = true
	if _, err := s.supply(t); err != nil {
		t.Errorf("Salvor's own: %v", err)
	}
}

// TestNothingWritesWhileVolumesChangeHands is fault V1, second half: before data
// is put into place the engine is asked, whatever the notes say. The stack's own
// containers are stopped; another's are left alone, and so is the data.
func TestNothingWritesWhileVolumesChangeHands(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "old")
	mustTake(t, s.Host, s.st)
	s.place(t, 2, true)
	s.write(t, "diverged")
	s.engine.containers = []container{
		{name: "notes-web-1", project: s.st.Name, state: "running", gated: true, mounts: []string{s.volume().Path}},
		{name: "backup", state: "running", mounts: []string{filepath.Join(s.volume().Path, "sub")}},
	}
	if _, err := s.supply(t); err == nil || !strings.Contains(err.Error(), "backup writes to it") {
		t.Fatalf("with another's container: %v", err)
	}
	if s.engine.ran(" stop") || s.read(t) != "diverged" {
		t.Error("the stack was stopped, or its data moved, before that was refused")
	}
	s.engine.containers[1].state = "exited"
	if _, err := s.supply(t); err != nil {
		t.Fatal(err)
	}
	if !s.engine.ran(heretest.Stack+" stop") || s.read(t) != "old" || len(s.kept(t)) != 1 {
		t.Errorf("stopped %v, the data is %q, kept %v", s.engine.calls, s.read(t), s.kept(t))
	}
	s.write(t, "newer")
	mustTake(t, s.Host, s.st)
	s.write(t, "newer still")
	mustTake(t, s.Host, s.st)
	if kept := s.kept(t); len(kept) != 1 || kept[0] != "diverged" {
		t.Errorf("diverged data after good snapshots of other data: %v", kept)
	}
	if found := s.keeper().SetAsideFindings(s.base().At(s.spec, s.st)); len(found) != 1 || !strings.Contains(found[0].Text, "no snapshot holds it") {
		t.Errorf("listed: %v", found)
	}
}

// TestWhatAFinalSnapshotHoldsIsRemoved is the other side of the rule: what a move
// left behind is in its final snapshot, so coming back does not pile it up.
func TestWhatAFinalSnapshotHoldsIsRemoved(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "final")
	mustTake(t, s.Host, s.st)
	s.place(t, 3, true)
	if _, err := s.supply(t); err != nil {
		t.Fatal(err)
	}
	if kept := s.kept(t); len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	mustTake(t, s.Host, s.st)
	if kept := s.kept(t); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

// TestAVolumeMadeAgainIsRestored is fault V4: a Docker volume that was removed
// and made again is missing, not empty. It is never taken, and its newest
// snapshot comes back.
func TestAVolumeMadeAgainIsRestored(t *testing.T) {
	for name, remake := range map[string]func(t *testing.T, s *stand){
		"removed": func(*testing.T, *stand) {},
		"empty": func(t *testing.T, s *stand) {
			if err := os.Mkdir(s.volume().Path, 0o755); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, false)
			s.started(t, "890 rows")
			mustTake(t, s.Host, s.st)
			if err := os.RemoveAll(s.volume().Path); err != nil {
				t.Fatal(err)
			}
			remake(t, s)
			if _, err := s.keeper().Take(t.Context(), s.base().At(s.spec, s.st), keeper.Taking{Force: true, Sink: progress.Discard()}); err == nil {
				t.Error("a snapshot of the new volume was taken")
			}
			if _, err := s.supply(t); err != nil {
				t.Fatal(err)
			}
			if got := s.read(t); got != "890 rows" {
				t.Errorf("the data is %q", got)
			}
		})
	}
	t.Run("with data", func(t *testing.T) {
		s := newStand(t, false)
		s.started(t, "890 rows")
		mustTake(t, s.Host, s.st)
		if err := os.RemoveAll(s.volume().Path); err != nil {
			t.Fatal(err)
		}
		s.write(t, "38 rows")
		if _, err := s.keeper().Take(t.Context(), s.base().At(s.spec, s.st), keeper.Taking{Force: true, Accept: true, Sink: progress.Discard()}); err == nil {
			t.Error("a snapshot of the new volume was taken")
		}
		if found := s.findings(t); len(found) != 1 || found[0].Code != finding.VolumeOccupied {
			t.Errorf("plan: %v", found)
		}
		s.st.Consent = project.ConsentRestore
		if _, err := s.supply(t); err != nil {
			t.Fatal(err)
		}
		if got := s.read(t); got != "890 rows" || len(s.kept(t)) != 1 {
			t.Errorf("the data is %q, kept %v", got, s.kept(t))
		}
	})
}

// TestDataInNoSnapshotIsTaken is fault V13: a stack that never had a snapshot
// comes back to the host with its data. Nothing is lost by what the hints say,
// and one command takes it.
func TestDataInNoSnapshotIsTaken(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "200 rows")
	s.place(t, 3, true)
	_, err := s.supply(t)
	if err == nil || s.read(t) != "200 rows" {
		t.Fatalf("%v; %q", err, s.read(t))
	}
	s.st.Consent = project.ConsentTake
	if _, err := s.supply(t); err != nil {
		t.Fatal(err)
	}
	s.st.Consent = ""
	if r := mustTake(t, s.Host, s.st); r.Snapshot.Epoch != 3 || s.read(t) != "200 rows" {
		t.Errorf("%+v; %q", r, s.read(t))
	}
}

// TestDivergedDataComesBackByItsID is fault V13: data that was moved aside and is
// in no snapshot goes into one by a command, and comes back by another.
func TestDivergedDataComesBackByItsID(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "old")
	first := mustTake(t, s.Host, s.st)
	s.write(t, "diverged")
	s.place(t, 3, true)
	if _, err := s.supply(t); err != nil {
		t.Fatal(err)
	}
	if _, err := s.keeper().TakeDiverged(t.Context(), s.base().At(s.spec, s.st), progress.Discard()); err != nil {
		t.Fatal(err)
	}
	a, err := s.base().At(s.spec, s.st).Open()
	if err != nil {
		t.Fatal(err)
	}
	if newest, _, err := keeper.ArchiveOf(a).Newest(t.Context()); err != nil || newest.Info.ID != first.Snapshot.ID {
		t.Errorf("the diverged one is picked by itself: %+v, %v", newest, err)
	}
	kept, err := snapshot.KeptOf(s.volume())
	if err != nil || len(kept) != 1 || kept[0].Snapshot == "" {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	mustTake(t, s.Host, s.st)
	if left := s.kept(t); len(left) != 0 {
		t.Errorf("still kept, though a snapshot holds it: %v", left)
	}
	if _, err := s.keeper().TakeDiverged(t.Context(), s.base().At(s.spec, s.st), progress.Discard()); err == nil {
		t.Error("a snapshot of nothing was taken")
	}
	s.restore(t, kept[0].Snapshot)
	if got := s.read(t); got != "diverged" {
		t.Errorf("restored %q", got)
	}
}

// restore brings a snapshot back in place.
func (s *stand) restore(t *testing.T, id string) {
	t.Helper()
	s.st.Restore = &fleet.Restore{ID: "wish", Epoch: s.st.Epoch, Snapshot: id}
	r := startup.New(s.keeper(), s.spec, progress.Discard())
	r.Prepared()
	a, err := s.base().At(s.spec, s.st).Open()
	if err != nil {
		t.Fatal(err)
	}
	d := a.Deployment()
	if err := startup.RestoreRequested(t.Context(), r.On(a), &d, &agentapi.StackReceipt{}); err != nil {
		t.Fatal(err)
	}
	s.st.Restore = nil
}

// TestARestoreLosesNothing is fault V1's kind: what was written after the
// snapshot of the present and before the stop is in a snapshot, too, before what
// was moved aside is deleted.
func TestARestoreLosesNothing(t *testing.T) {
	s := newStand(t, false)
	s.started(t, "old")
	first := mustTake(t, s.Host, s.st)
	s.write(t, "newer")
	s.engine.containers = []container{{name: "notes-web-1", project: s.st.Name, state: "running", gated: true, mounts: []string{s.volume().Path}}}
	s.engine.stopping = func() { s.write(t, "newest") }
	s.restore(t, first.Snapshot.ID)
	s.engine.stopping = nil
	kept, err := snapshot.KeptOf(s.volume())
	if err != nil || len(kept) != 1 || kept[0].Snapshot == "" || s.read(t) != "old" {
		t.Fatalf("kept %+v, %v; the data is %q", kept, err, s.read(t))
	}
	mustTake(t, s.Host, s.st) // the one that the restore owes leaves it there
	mustTake(t, s.Host, s.st)
	if left := s.kept(t); len(left) != 0 {
		t.Errorf("kept %v", left)
	}
	s.restore(t, kept[0].Snapshot)
	if got := s.read(t); got != "newest" {
		t.Errorf("what the stack had is %q", got)
	}
}
