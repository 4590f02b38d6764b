package here_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// bare is a host with nothing on it: neither an engine nor keys.
func bare(t *testing.T) *here.Host {
	t.Helper()
	dir := t.TempDir()
	p := hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}
	return &here.Host{
		Machine: local.Machine{}, Paths: p, Journal: journal.Journal{Dir: p.State + "/journal"},
		Snapshots: snapshot.Engine{Host: local.Machine{}, Dirs: p, Progress: progress.Discard()},
	}
}

// damages are what may have become of a file of the host's own.
var damages = map[string]func(path string) error{
	"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"cut short":   func(path string) error { return os.WriteFile(path, []byte(`{"schema":1,"ep`), 0o600) },
	"other shape": func(path string) error { return os.WriteFile(path, []byte(`[1]`), 0o600) },
	"newer": func(path string) error {
		return os.WriteFile(path, []byte(`{"schema":99,"epoch":7,"name":"x","done":"x","what":"x","state":"back"}`), 0o600)
	},
	"no schema": func(path string) error {
		return os.WriteFile(path, []byte(`{"epoch":7,"name":"x","done":"x","what":"x","state":"back"}`), 0o600)
	},
}

// TestTheSpecIsKeptTwice: where the file that counts is lost or damaged its copy does, and
// it is said that it has to be written again. A host that was asked for nothing has none.
func TestTheSpecIsKeptTwice(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if spec, err := h.ReadSpec(); err != nil || spec.Name != "" || h.SpecDamage() != nil {
		t.Errorf("before the first apply: %+v, %v, %v", spec, err, h.SpecDamage())
	}
	want := agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Commit: "c1", Stacks: []agentapi.Stack{{Name: "notes", Epoch: 2}}}
	damages := with(damages, "missing", os.Remove)
	for name, strike := range damages {
		if err := h.SaveSpec(want); err != nil {
			t.Fatal(err)
		}
		if err := h.SpecDamage(); err != nil {
			t.Errorf("%s: before: %v", name, err)
		}
		if err := strike(h.Paths.Spec()); err != nil {
			t.Fatal(err)
		}
		spec, err := h.ReadSpec()
		if diff := cmp.Diff(want, spec); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
		if h.SpecDamage() == nil {
			t.Errorf("%s: nothing says so", name)
		}
		if err := strike(h.Paths.SpecCopy()); err != nil {
			t.Fatal(err)
		}
		if spec, err := h.ReadSpec(); (err == nil) != (name == "missing") || spec.Name != "" {
			t.Errorf("%s, both: %+v, %v", name, spec, err)
		}
	}
}

// with is a map with another entry.
func with[V any](m map[string]V, key string, value V) map[string]V {
	more := map[string]V{key: value}
	for k, v := range m {
		more[k] = v
	}
	return more
}

// TestConsentIsForOneApply is fault V1's kind: what an operator said about a
// stack's data once does not decide about it at a boot, when notes were lost.
func TestConsentIsForOneApply(t *testing.T) {
	t.Parallel()
	h := bare(t)
	asked := agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{{Name: "notes", Consent: project.ConsentFresh, AcceptLoss: true}}}
	if err := h.SaveSpec(asked); err != nil {
		t.Fatal(err)
	}
	if spec, err := h.ReadSpec(); err != nil || spec.Stacks[0].Consent != "" || spec.Stacks[0].AcceptLoss {
		t.Errorf("kept %+v, %v", spec.Stacks, err)
	}
	if asked.Stacks[0].Consent == "" || !asked.Stacks[0].AcceptLoss {
		t.Error("what this apply was asked for has changed")
	}
}

// TestLocal: what can't be read counts as an epoch of 0, and says why.
func TestLocal(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if l := h.Local("notes"); l.Epoch != 0 || l.Unread != "" {
		t.Errorf("of a stack that never ran here: %+v", l)
	}
	want := here.Local{Schema: agentapi.Schema, Epoch: 3, Released: 2, Final: "5nap", Sealed: "abcd"}
	if err := h.SaveLocal("notes", here.Local{Epoch: 3, Released: 2, Final: "5nap", Sealed: "abcd", Unread: "is not written"}); err != nil {
		t.Fatal(err)
	}
	if got := h.Local("notes"); !cmp.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for name, strike := range damages {
		if name == "no schema" {
			continue // it is read as of this schema
		}
		if err := strike(h.Paths.Placement("notes")); err != nil {
			t.Fatal(err)
		}
		if l := h.Local("notes"); l.Epoch != 0 || !strings.Contains(l.Unread, h.Paths.Placement("notes")) {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

// TestReleasedUntilALaterEpoch: a stack that was released is not, once it is placed here
// again.
func TestReleasedUntilALaterEpoch(t *testing.T) {
	t.Parallel()
	for epoch, want := range map[int]bool{1: true, 2: true, 3: false} {
		if got := (here.Local{Epoch: 2, Released: 2}).ReleasedAt(epoch); got != want {
			t.Errorf("released at 2, asked for %d: %v", epoch, got)
		}
	}
	if (here.Local{Epoch: 2}).ReleasedAt(0) {
		t.Error("a stack that was never released counts as released")
	}
}

// TestKnown: a host knows the stacks that ran here and are not another host's, also one whose
// note can't be read, so that it stops those that were placed elsewhere.
func TestKnown(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if known, err := h.Known(); err != nil || len(known) > 0 {
		t.Errorf("on a new host: %v, %v", known, err)
	}
	for name, l := range map[string]here.Local{"shop": {Epoch: 1}, "notes": {Epoch: 2, Released: 2}, "gone": {Epoch: 1, Lost: true}, "never": {}, "torn": {Epoch: 4}} {
		if err := h.SaveLocal(name, l); err != nil {
			t.Fatal(err)
		}
	}
	heretest.Write(t, h.Paths.Placement("torn"), "{")
	heretest.Write(t, h.Paths.Placement("notes")+".snapshot", "{}") // notes of other kinds are not placements
	if known, err := h.Known(); err != nil || !slices.Equal(known, []string{"notes", "shop", "torn"}) {
		t.Errorf("%v, %v", known, err)
	}
}

// TestNotesThatCannotBeRead count as none.
func TestNotesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	h := bare(t)
	st := h.At(agentapi.Host{Name: "alpha"}, agentapi.Stack{Name: "notes", Epoch: 1})
	for name, strike := range damages {
		err := errors.Join(st.SaveAttempt(here.Attempt{State: here.AttemptTrying}), h.NoteRun("notes", "deploy"))
		h.NoteDone("notes", "wish")
		if err != nil || !st.Attempt().InProgress() || h.RunNote("notes").What != "deploy" || h.Wishes("notes").Owed != "wish" {
			t.Fatalf("written: %+v, %+v, %+v, %v", st.Attempt(), h.RunNote("notes"), h.Wishes("notes"), err)
		}
		for _, path := range []string{h.AttemptPath("notes"), h.RunPath("notes"), h.WishesPath("notes")} {
			if err := strike(path); err != nil {
				t.Fatal(err)
			}
		}
		if a, r, w := st.Attempt(), h.RunNote("notes"), h.Wishes("notes"); a.State != "" || r.What != "" || w.Done != "" || w.Owed != "" {
			t.Errorf("%s: %+v, %+v, %+v", name, a, r, w)
		}
	}
}

// TestWriteJSON: a note is closed to other users, its folder is made, and one that can't be
// written leaves the one before.
func TestWriteJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "note.json")
	if err := here.WriteJSON(path, map[string]int{"n": 1}); err != nil {
		t.Fatal(err)
	}
	if err := here.WriteJSON(path, func() {}); err == nil {
		t.Error("what is not JSON was written")
	}
	var got map[string]int
	if err := here.ReadJSON(path, &got); err != nil || got["n"] != 1 {
		t.Errorf("%v, %v", got, err)
	}
	for at, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
		if info, err := os.Stat(at); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", at, info.Mode(), err)
		}
	}
	if err := here.ReadJSON(path+".gone", &got); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one that is not there: %v", err)
	}
	heretest.Write(t, path, "{")
	if err := here.ReadJSON(path, &got); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("half a note: %v", err)
	}
}

// TestPast: a clock that was ahead has left no time that counts, one that was set back a
// little forgets nothing.
func TestPast(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	for ahead, want := range map[time.Duration]bool{-time.Hour: true, 0: true, time.Minute: true, time.Minute + time.Second: false, 240 * time.Hour: false} {
		noted := now.Add(ahead)
		if got := here.Past(noted, now); want && !got.Equal(noted) || !want && !got.IsZero() {
			t.Errorf("noted %s from now: %s", ahead, got)
		}
	}
}

// TestTheJournalStopsNothing: an entry that can't be written is an error of nothing else.
func TestTheJournalStopsNothing(t *testing.T) {
	t.Parallel()
	h := bare(t)
	h.Trouble("ports", errors.New("no answer"))
	h.Enter(journal.Entry{Kind: "apply", Stack: "notes", Text: "deployed"})
	entries, err := h.Journal.Tail(10)
	if err != nil || len(entries) != 2 || entries[0].Kind != "ports" || entries[0].Error != "no answer" || entries[1].Stack != "notes" {
		t.Errorf("%+v, %v", entries, err)
	}
	full := bare(t)
	if err := os.MkdirAll(full.Paths.State, 0o700); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, full.Journal.Dir, "a file in place of the folder")
	full.Enter(journal.Entry{Kind: "apply"})
	if content, err := os.ReadFile(full.Journal.Dir); err != nil || string(content) != "a file in place of the folder" {
		t.Errorf("%q, %v", content, err)
	}
}
