package here_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// notes is a stack with a protected Docker volume, a protected folder and a cache.
func notes(h *here.Host, epoch int) *here.Stack {
	st := agentapi.Stack{
		Name: "notes", Epoch: epoch, Targets: []agentapi.Target{{Name: "offsite", Repository: "bbbb0002", Former: []string{"aaaa0001"}}},
		Volumes: []project.Volume{
			{Name: "db", Docker: "notes_db", Protect: fleet.Snapshot, Method: fleet.Pause, Service: "db", MountAt: "/var/lib/db"},
			{Name: "media", Path: filepath.Join(h.Paths.Volumes, "media"), Protect: fleet.Snapshot, Method: fleet.Live},
			{Name: "cache", Docker: "notes_cache", Protect: fleet.None},
		},
	}
	return h.At(agentapi.Host{Fleet: "home", Name: "alpha", Commit: "c2", Stacks: []agentapi.Stack{st}}, st)
}

// startEmpty has every protected volume ready.
func startEmpty(t *testing.T, s *here.Stack) {
	t.Helper()
	for _, v := range s.Protected() {
		if err := s.Host.Snapshots.StartEmpty(s.Name, v, snapshot.Marker{Identity: s.Identity(v.Name), Epoch: s.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestProtectedVolumes(t *testing.T) {
	t.Parallel()
	h := bare(t)
	caches := fleet.Omission{Caches: true}
	want := []snapshot.Volume{
		{Name: "db", Path: filepath.Join(h.Paths.Volumes, "notes_db", "_data"), Method: fleet.Pause, Service: "db", MountAt: "/var/lib/db", Omit: caches},
		{Name: "media", Path: filepath.Join(h.Paths.Volumes, "media"), Method: fleet.Live, Omit: caches},
	}
	if diff := cmp.Diff(want, notes(h, 1).Protected()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlaced(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if err := h.SaveSpec(notes(h, 3).Spec); err != nil {
		t.Fatal(err)
	}
	if s, err := h.Placed("notes"); err != nil || s.Epoch != 3 || s.Spec.Commit != "c2" || s.Access != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := h.Placed("shop"); err == nil || err.Error() != "stack shop is not placed on alpha" || fault.Hint(err) == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestIdentityStaysWithTheRepository: a repository that is replaced goes on with the same
// data, one that is new begins other data.
func TestIdentityStaysWithTheRepository(t *testing.T) {
	t.Parallel()
	h := bare(t)
	renewed, before, fresh, none := notes(h, 1), notes(h, 1), notes(h, 1), notes(h, 1)
	before.Targets = []agentapi.Target{{Name: "offsite", Repository: "aaaa0001"}}
	fresh.Targets = []agentapi.Target{{Name: "offsite", Repository: "cccc0003"}}
	none.Targets = nil
	if renewed.Identity("db") != before.Identity("db") {
		t.Error("a repository that was replaced has other data")
	}
	for name, other := range map[string]string{"fresh": fresh.Identity("db"), "no target": none.Identity("db"), "another volume": before.Identity("media")} {
		if other == before.Identity("db") {
			t.Errorf("%s: the same data", name)
		}
	}
}

// TestVolumeFacts: what this host knows on its own of each volume, through the life of one.
func TestVolumeFacts(t *testing.T) {
	t.Parallel()
	h := bare(t)
	s := notes(h, 1)
	facts, unready, err := s.VolumeFacts()
	if err != nil || !unready || len(facts) != 2 || facts["db"].Found != snapshot.Nothing || facts["db"].Born || facts["db"].History != snapshot.HistoryUnknown {
		t.Fatalf("before the first start: %+v, %v, %v", facts, unready, err)
	}
	if err := s.AllReady(); err == nil || !strings.Contains(err.Error(), "stack notes: volume db is not ready here") || fault.Hint(err) == "" {
		t.Errorf("ready before the first start: %v", err)
	}
	startEmpty(t, s)
	if facts, unready, err := s.VolumeFacts(); err != nil || unready || facts["db"].Found != snapshot.Marked {
		t.Errorf("started: %+v, %v, %v", facts, unready, err)
	}
	if err := s.AllReady(); err != nil {
		t.Errorf("started: %v", err)
	}
	if err := h.SaveLocal("notes", here.Local{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	s.Volumes[0].Born = time.Unix(1, 0)
	if facts, _, err := s.VolumeFacts(); err != nil || !facts["db"].Ran || facts["media"].Ran {
		t.Errorf("it ran here at this epoch: %+v, %v", facts, err)
	}
	if facts, unready, err := notes(h, 2).VolumeFacts(); err != nil || !unready || facts["db"].Ran {
		t.Errorf("placed here again: %+v, %v, %v", facts, unready, err)
	}
	if err := os.RemoveAll(s.Protected()[1].Path); err != nil {
		t.Fatal(err)
	}
	if err := s.AllReady(); err == nil || !strings.Contains(err.Error(), "volume media") {
		t.Errorf("with a folder gone: %v", err)
	}
	if err := os.MkdirAll(s.Protected()[1].Path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.AllReady(); err == nil {
		t.Error("a folder that was made again is the stack's data")
	}
}

// TestBirths: when each volume became ready here that the lock does not know yet.
func TestBirths(t *testing.T) {
	t.Parallel()
	s := notes(bare(t), 1)
	if born := s.Births(); len(born) > 0 {
		t.Errorf("before the first start: %v", born)
	}
	before := time.Now().Add(-time.Second)
	startEmpty(t, s)
	born := s.Births()
	if len(born) != 2 || born["db"].Before(before) || born["media"].Before(before) {
		t.Errorf("%v", born)
	}
	s.Volumes[0].Born = time.Unix(1, 0)
	if born := s.Births(); len(born) != 1 || born["media"].IsZero() {
		t.Errorf("once the lock knows db: %v", born)
	}
	if !here.Born(s.Stack, "db") || here.Born(s.Stack, "media") || here.Born(s.Stack, "gone") {
		t.Error("the lock knows another volume")
	}
}

func TestHydrated(t *testing.T) {
	t.Parallel()
	s := notes(bare(t), 1)
	decided := map[string]snapshot.Decision{"db": {Action: snapshot.Hydrate}, "media": {Action: snapshot.Ready}, "cache": {Action: snapshot.Hydrate}}
	if v := s.Hydrated(decided); len(v) != 1 || v[0].Name != "db" {
		t.Errorf("%+v", v)
	}
}

// TestDeployment: the images and the project are those of the spec, the logins those of an
// opened seal.
func TestDeployment(t *testing.T) {
	t.Parallel()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 4)
	st := &g.Spec.Stacks[0]
	st.Images, st.Project.Hash = map[string]string{"app": "app:1@sha256:1"}, "sha256:1"
	heretest.Seal(t, g.Host, st, "alpha", agentapi.SealedFile{Registries: map[string]agentapi.SealedLogin{"ghcr.io": {Username: []byte("ann"), Password: []byte("hunter2")}}})
	g.Spec.Commit = "c3"
	s := g.At(g.Spec, *st)
	if d := s.Deployment(); d.Stack != heretest.Notes || d.Epoch != 4 || d.Commit != "c3" || d.Project.Hash != "sha256:1" || d.Images["app"] == "" || d.Logins != nil {
		t.Errorf("%+v", d)
	}
	opened, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	if l := opened.Deployment().Logins["ghcr.io"]; string(l.Username.Reveal()) != "ann" || string(l.Password.Reveal()) != "hunter2" {
		t.Error("not the logins that were sealed")
	}
	if s.Access != nil {
		t.Error("what was asked before the seal was opened has changed")
	}
}

// TestWishes: a restore is pending until the data of every volume is in its place, whatever
// the note says, or until it can't be; a new one is another.
func TestWishes(t *testing.T) {
	t.Parallel()
	h := bare(t)
	s := notes(h, 2)
	stands := func(want agentapi.WishState, forget bool) {
		t.Helper()
		w := s.Wish()
		if w == nil || w.State != want || s.MayForget() != forget {
			t.Errorf("%+v, may forget %v; want %s, %v", w, s.MayForget(), want, forget)
		}
	}
	if s.Wish() != nil || !s.MayForget() {
		t.Error("nothing was wished")
	}
	startEmpty(t, s)
	s.Restore = &fleet.Restore{ID: "one", Epoch: 2, Snapshot: "abcd"}
	stands(agentapi.WishPending, false)
	h.ChangeWishes("notes", func(w *here.Wishes) { w.Failed = &here.FailedWish{ID: "one", Why: "the remote is away"} })
	stands(agentapi.WishFailed, false)
	if w := s.Wish(); w.Why != "the remote is away" {
		t.Errorf("%+v", w)
	}
	s.Restore.ID = "two" // the operator asks again
	stands(agentapi.WishPending, false)
	for i, v := range s.Protected() {
		if s.InPlace("two") {
			t.Errorf("in place with %d of its volumes", i)
		}
		m := h.Snapshots.Marker("notes", v.Name)
		m.Wish = "two"
		if err := here.WriteJSON(h.Paths.Marker("notes", v.Name), m); err != nil {
			t.Fatal(err)
		}
	}
	stands(agentapi.WishDone, true) // the power was cut before the note
	if later := notes(h, 3); later.InPlace("two") {
		t.Error("what was put in place at an earlier epoch is that of this one")
	}
	h.NoteDone("notes", "two")
	if w := h.Wishes("notes"); w.Done != "two" || w.Owed != "two" || w.Failed != nil {
		t.Errorf("%+v", w)
	}
	h.ChangeWishes("notes", func(w *here.Wishes) { w.Owed = "" })
	h.NoteDone("notes", "two")
	if w := h.Wishes("notes"); w.Owed != "" {
		t.Error("a snapshot that was taken is owed again")
	}
	if empty := h.At(s.Spec, agentapi.Stack{Name: "site"}); empty.InPlace("two") {
		t.Error("a stack without data has it in place")
	}
}

// TestAttempts: what an attempt says of the version that runs.
func TestAttempts(t *testing.T) {
	t.Parallel()
	st := notes(bare(t), 2)
	for state, under := range map[string]bool{"trying": true, "back": true, "failed": false, "": false} {
		a := st.Attempt()
		switch state {
		case "trying":
			a.State = here.AttemptTrying
		case "back":
			a.State = here.AttemptBack
		case "failed":
			a.State = here.AttemptFailed
		default:
			a.State = ""
		}
		if a.InProgress() != under {
			t.Errorf("%q: between two versions %v", state, a.InProgress())
		}
	}
	before := time.Now()
	a := here.Attempt{State: here.AttemptFailed, Commit: "0123456789abcdef", Before: "bbbbbbbbbbbbbbbb"}
	if err := st.SaveAttempt(a); err != nil || st.Attempt().At.Before(before.Add(-time.Second)) {
		t.Errorf("%+v, %v", st.Attempt(), err)
	}
	if got, other := a.Wish(), (here.Attempt{Commit: a.Commit, Before: "cccccccccccccccc"}).Wish(); got == other || !strings.HasPrefix(got, "back-0123456789ab-") {
		t.Errorf("the way back is %q, another %q", got, other)
	}
	for epoch, want := range map[int]here.Attempt{1: {}, 2: st.Attempt(), 3: {}} {
		if got := notes(st.Host, epoch).Attempt(); !cmp.Equal(got, want, cmpopts.IgnoreUnexported(here.Attempt{})) {
			t.Errorf("at epoch %d: %+v, want %+v", epoch, got, want)
		}
	}
	heretest.Write(t, st.Host.AttemptPath("notes"), `{"schema":1,"state":"back"}`)
	if !notes(st.Host, 7).Attempt().InProgress() {
		t.Error("a note of an older salvord, which names no epoch, is ignored")
	}
	if err := st.Host.SaveLocal("notes", here.Local{Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	for epoch, want := range map[int]bool{2: true, 7: false} { // it is of the epoch at which the stack ran
		if got := notes(st.Host, epoch).Attempt().InProgress(); got != want {
			t.Errorf("a note of an older salvord, at epoch %d: %v", epoch, got)
		}
	}
	for want, a := range map[string]here.Attempt{
		"the previous version runs": {},
		"the previous version runs again, with its own data (snapshot bbbbbbbb)": a,
	} {
		if got := a.WentBack(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	a.After = "dddddddddddddddd"
	if got := a.WentBack(); !strings.Contains(got, "snapshot dddddddd, which is only restored by its id") {
		t.Errorf("%q", got)
	}
}

func TestLocationText(t *testing.T) {
	t.Parallel()
	got := []string{here.LocationText(fleet.Location{}), here.LocationText(fleet.Location{Remote: "disk", Path: "a/b"}), here.ErrorText(nil), here.ErrorText(here.ErrAbsent)}
	if want := []string{"", "disk:a/b", "", "not mounted"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
