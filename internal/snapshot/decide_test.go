package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/hostpath"
	"salvor/internal/project"
)

// TestDecideGolden writes down the decision for every combination of facts, so
// that a change to the rule is read line by line.
func TestDecideGolden(t *testing.T) {
	t.Parallel()
	const id, epoch = "home/notes/db@r1", 5
	markers := []struct {
		name string
		m    Marker
	}{
		{"no marker", Marker{}},
		{"ready", Marker{Identity: id, Epoch: epoch, State: MarkedReady}},
		{"ready, older epoch", Marker{Identity: id, Epoch: epoch - 1, State: MarkedReady}},
		{"ready, newer epoch", Marker{Identity: id, Epoch: epoch + 1, State: MarkedReady}},
		{"ready, another volume's", Marker{Identity: "home/notes/db@r0", Epoch: epoch, State: MarkedReady}},
		{"hydrating", Marker{Identity: id, Epoch: epoch, State: MarkedHydrating}},
		{"hydrating, older epoch", Marker{Identity: id, Epoch: epoch - 1, State: MarkedHydrating}},
	}
	var b strings.Builder
	for _, m := range markers {
		for _, found := range []Presence{Nothing, Marked, Replaced, Unmarked} {
			ready := m.m.State == MarkedReady && m.m.Identity == id
			if ready != (found == Marked || found == Replaced) && found != Nothing {
				continue // Look does not say that
			}
			for _, born := range []bool{false, true} {
				for _, history := range []string{"none", "some", "some of this epoch", "unknown"} {
					for _, consent := range []project.Consent{"", project.ConsentRestore, project.ConsentFresh, project.ConsentTake} {
						kind, _, ran := strings.Cut(history, " of ")
						f := Facts{Marker: m.m, Found: found, Identity: id, Epoch: epoch, Born: born, Ran: ran, History: History(kind), Consent: consent}
						d := Decide(f)
						checkDecision(t, f, d)
						if consent == "" || born && found != Replaced {
							fmt.Fprintf(&b, "%s | found %s | born %v | snapshots %s | %q => %s: %s\n", m.name, found, born, history, consent, d.Action, d.Reason)
						}
					}
				}
			}
		}
	}
	golden := filepath.Join("testdata", "decide.golden")
	if *update {
		write(t, golden, b.String())
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// checkDecision holds the promises that no combination may break.
func checkDecision(t *testing.T, f Facts, d Decision) {
	t.Helper()
	m := f.Marker
	mine := m.State != "" && m.Identity == f.Identity
	ready := m.State == MarkedReady && mine && m.Epoch == f.Epoch && f.Found == Marked
	strange := f.Found == Replaced || f.Found == Unmarked && (!mine || m.State != MarkedHydrating)
	switch {
	case d.Action == Ready && !ready:
		t.Errorf("%+v starts on data that is not ready", f)
	case d.Action == StartEmpty && f.Consent != project.ConsentFresh && (f.Born || mine || f.History != HistoryNone || f.Found != Nothing):
		t.Errorf("%+v starts empty unasked", f)
	case d.Action == Hydrate && f.History != HistorySome:
		t.Errorf("%+v hydrates from nothing", f)
	case d.Action == Hydrate && !f.Born && !mine && f.Consent != project.ConsentRestore:
		t.Errorf("%+v takes another's snapshots unasked", f)
	case d.Action == Hydrate && strange && f.Consent != project.ConsentRestore:
		t.Errorf("%+v replaces data of which nothing is known, unasked", f)
	case d.Action == Accept && f.Consent != project.ConsentTake && !f.Ran:
		t.Errorf("%+v takes data of which nothing is known, unasked", f)
	case d.Action == Accept && f.Found == Nothing:
		t.Errorf("%+v takes nothing for data", f)
	case (d.Action == Refuse) != (d.Hint != ""):
		t.Errorf("%+v: %s has hint %q", f, d.Action, d.Hint)
	case strings.Contains(d.Hint, "--fresh") && f.Found != Nothing && !strings.Contains(d.Hint, "set aside") && !strings.Contains(d.Hint, "set it aside") && f.History == HistoryNone:
		t.Errorf("%+v: the hint %q does not say what becomes of the data", f, d.Hint)
	case ready && d.Action != Ready:
		t.Errorf("an owner does not start: %+v", f)
	}
}

// TestLostNotesNeverHydrate is fault V1: without its marker, or with one that is
// damaged or of an earlier day, data that was in use here at this epoch is never
// replaced by a snapshot.
func TestLostNotesNeverHydrate(t *testing.T) {
	t.Parallel()
	const id, epoch = "home/notes/db@r1", 5
	for name, m := range map[string]Marker{
		"lost":    {},
		"damaged": {Unread: "unexpected end of JSON input"},
		"earlier": {Identity: id, Epoch: epoch - 1, State: MarkedReady},
	} {
		for _, history := range []History{HistoryNone, HistorySome, HistoryUnknown} {
			f := Facts{Marker: m, Found: Unmarked, Identity: id, Epoch: epoch, Born: true, Ran: true, History: history}
			if m.State == MarkedReady {
				f.Found = Marked
			}
			if d := Decide(f); d.Action != Accept {
				t.Errorf("%s, snapshots %s: %s: %s", name, history, d.Action, d.Reason)
			}
		}
	}
	if d := Decide(Facts{Found: Unmarked, Identity: id, Epoch: epoch, Born: true, History: HistorySome}); !d.Occupied {
		t.Errorf("where it can't be told whose data it is: %s: %s", d.Action, d.Reason)
	}
	if d := Decide(Facts{Found: Nothing, Identity: id, Epoch: epoch, Born: true, Ran: true, History: HistorySome}); d.Action != Hydrate {
		t.Errorf("a volume that is lost with its notes: %s: %s", d.Action, d.Reason)
	}
}

// TestARemovedVolumeIsMissing is fault V4: a ready marker does not speak for a
// volume that was removed, nor for one that was made at its place since; a
// volume that was emptied is still itself.
func TestARemovedVolumeIsMissing(t *testing.T) {
	t.Parallel()
	const id = "home/notes/db@r1"
	v := Volume{Name: "db", Path: filepath.Join(t.TempDir(), "_data")}
	e := Engine{Dirs: hostpath.Layout{State: t.TempDir()}}
	if err := e.StartEmpty("notes", v, Marker{Identity: id, Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	decide := func() (Presence, Decision) {
		t.Helper()
		m := e.Marker("notes", "db")
		found, err := Look(v, m, id)
		if err != nil {
			t.Fatal(err)
		}
		return found, Decide(Facts{Marker: m, Found: found, Identity: id, Epoch: 1, Born: true, History: HistorySome})
	}
	if found, d := decide(); found != Marked || d.Action != Ready {
		t.Errorf("an empty volume that was always there: %s, %s", found, d.Action)
	}
	write(t, filepath.Join(v.Path, "row"), "1")
	if err := os.Remove(filepath.Join(v.Path, "row")); err != nil {
		t.Fatal(err)
	}
	if found, d := decide(); found != Marked || d.Action != Ready {
		t.Errorf("a volume emptied on purpose: %s, %s", found, d.Action)
	}
	if err := os.RemoveAll(v.Path); err != nil {
		t.Fatal(err)
	}
	if found, d := decide(); found != Nothing || d.Action != Hydrate || !strings.Contains(d.Reason, "gone") {
		t.Errorf("a removed volume: %s, %+v", found, d)
	}
	if err := os.Mkdir(v.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	if found, d := decide(); found != Nothing || d.Action != Hydrate {
		t.Errorf("an empty volume made at its place: %s, %+v", found, d)
	}
	write(t, filepath.Join(v.Path, "row"), "initialised")
	if found, d := decide(); found != Replaced || !d.Occupied {
		t.Errorf("a volume made at its place, with data: %s, %+v", found, d)
	}
}

// TestOnlyWhatASnapshotHoldsIsDeleted is faults V1 and V13: what was moved aside
// stays until a snapshot that exists holds exactly that data.
func TestOnlyWhatASnapshotHoldsIsDeleted(t *testing.T) {
	t.Parallel()
	const id = "home/notes/db@r1"
	exists := func(id string) bool { return id == "good" }
	for name, c := range map[string]struct {
		held   string
		change bool
		gone   bool
	}{
		"not in any snapshot":                {},
		"in a snapshot":                      {held: "good", gone: true},
		"in a snapshot that was removed":     {held: "thinned"},
		"changed since the snapshot of then": {held: "good", change: true},
	} {
		t.Run(name, func(t *testing.T) {
			v := Volume{Name: "db", Path: filepath.Join(t.TempDir(), "_data")}
			e := Engine{Dirs: hostpath.Layout{State: t.TempDir()}}
			if err := e.StartEmpty("notes", v, Marker{Identity: id, Epoch: 1}); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(v.Path, "row"), "1")
			s, err := scanVolume(v.Path, everything)
			if err == nil && c.held != "" {
				err = e.noteHeld("notes", v, c.held, s.print)
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.change {
				write(t, filepath.Join(v.Path, "row"), "1 2")
			}
			if err := e.StartEmpty("notes", v, Marker{Identity: "home/notes/db@r2", Epoch: 2}); err != nil {
				t.Fatal(err)
			}
			if err := RemoveKept(v, exists); err != nil {
				t.Fatal(err)
			}
			kept, err := KeptOf(v)
			if err != nil || (len(kept) == 0) != c.gone {
				t.Fatalf("kept %+v, %v", kept, err)
			}
			if !c.gone && (kept[0].Epoch != 1 || kept[0].Identity != id || kept[0].At.IsZero()) {
				t.Errorf("what is noted of it: %+v", kept[0])
			}
			if left, _ := filepath.Glob(v.Path + oldMark + "*"); c.gone && len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
