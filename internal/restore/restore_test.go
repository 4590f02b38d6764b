package restore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/project"
)

// world has notes on beta, with two snapshots.
func world() (*deploytest.World, *deploy.Session) {
	row := func(id string, seq int) agentapi.SnapshotRow {
		return agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: strings.Repeat(id, 32), Epoch: 2, Seq: seq, Began: time.Unix(int64(seq)*1000, 0), Bytes: 2048, Files: 3}, Target: "nas"}
	}
	w := &deploytest.World{Alive: map[string]bool{"beta": true}, Owners: map[string]deploy.Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 2}},
		Snapshots: []agentapi.SnapshotRow{row("aa", 1), row("bb", 2)}}
	s := w.Session(&fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}}},
		fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2, Stopped: true, Volumes: map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0)}}}}})
	return w, s
}

// TestTheSameRestoreAgain is fault V15.4: `salvor restore notes --snapshot X` once
// more did nothing after the host had fulfilled the earlier wish for X.
func TestTheSameRestoreAgain(t *testing.T) {
	wish := &fleet.Restore{ID: "one", Epoch: 2, Snapshot: "aaaa"}
	for name, c := range map[string]struct {
		snapshot string
		told     *agentapi.Wish
		goesOn   bool
	}{
		"cut short":                    {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishPending}, true},
		"fulfilled, the lock is late":  {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishDone}, false},
		"failed":                       {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishFailed}, false},
		"another snapshot":             {"bbbb", &agentapi.Wish{ID: "one", State: agentapi.WishPending}, false},
		"the host does not say":        {"aaaa", nil, true},
		"the host knows an older wish": {"aaaa", &agentapi.Wish{ID: "zero", State: agentapi.WishDone}, true},
	} {
		if got := goesOn(wish, c.snapshot, nil, c.told); got != c.goesOn {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRestoreIsPartOfTheCommit: the wish is committed before the host hears of
// it, and said again it is the same wish. The stack is started for it.
func TestRestoreIsPartOfTheCommit(t *testing.T) {
	t.Parallel()
	w, s := world()
	p, err := Prepare(t.Context(), s, "notes", Options{})
	if err != nil || p.Name != "notes" || len(p.Loses) != 1 || !strings.Contains(p.Question, "Restore notes to snapshot bbbbbbbb: ") || !strings.Contains(p.Question, "2.0 KiB in 3 files") {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	log := w.Log()
	if commit, applied := slices.Index(log, "commit restore: notes"), slices.Index(log, "beta applies"); commit < 0 || applied < commit {
		t.Errorf("asked %v", log)
	}
	at := s.Lock.Stacks["notes"]
	if at.Restore == nil || at.Restore.Snapshot != strings.Repeat("bb", 32) || at.Restore.Epoch != 2 || at.Stopped {
		t.Fatalf("placed %+v", at)
	}
	if sent := w.Applied("beta").Host.Stacks[0].Restore; !cmp.Equal(sent, at.Restore) {
		t.Errorf("beta is to restore %+v", sent)
	}
	again, err := Prepare(t.Context(), s, "notes", Options{Snapshot: "bb"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(t.Context(), nil); err != nil || s.Lock.Stacks["notes"].Restore.ID != at.Restore.ID {
		t.Errorf("said again: %v, %+v", err, s.Lock.Stacks["notes"].Restore)
	}
	other, err := Prepare(t.Context(), s, "notes", Options{Snapshot: "aa"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Run(t.Context(), nil); err != nil || s.Lock.Stacks["notes"].Restore.ID == at.Restore.ID {
		t.Errorf("another: %v, %+v", err, s.Lock.Stacks["notes"].Restore)
	}
}

// TestWithdraw is fault F19: a restore that failed could only be taken out of the
// lock by `git revert`.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	_, s := world()
	if _, err := Withdraw(s, "notes"); err == nil || fault.Hint(err) != "salvor status" {
		t.Errorf("withdrew what nobody wished: %v", err)
	}
	if _, err := Withdraw(s, "blog"); err == nil || fault.Hint(err) != "salvor apply" {
		t.Errorf("withdrew the restore of a stack that is placed nowhere: %v", err)
	}
	s.Lock = placement.Restore(s.Lock, "notes", "aaaa")
	p, err := Withdraw(s, "notes")
	if err != nil || p.Question != "Cancel the restore of notes and keep its data as it is?" || p.Name != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if r, err := p.Run(t.Context(), nil); err != nil || r.Kind != deploy.KindWithdraw || s.Lock.Stacks["notes"].Restore != nil {
		t.Errorf("%v, %+v", err, s.Lock.Stacks["notes"].Restore)
	}
}

func TestAStackWithoutSnapshots(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.Snapshots = nil
	if _, err := Prepare(t.Context(), s, "notes", Options{}); err == nil || fault.Hint(err) != "salvor snapshot take notes" {
		t.Errorf("%v", err)
	}
	if _, err := Prepare(t.Context(), s, "blog", Options{}); err == nil || err.Error() != "stack blog is not placed anywhere" {
		t.Errorf("%v", err)
	}
}

// TestARestoreOfSomeVolumes is in the lock by their names, and asked again it is the same
// wish; another volume is another one.
func TestARestoreOfSomeVolumes(t *testing.T) {
	t.Parallel()
	w, s := world()
	s.Stacks = map[string]project.Rendered{"notes": {Volumes: []project.Volume{
		{Name: "@data", Protect: fleet.Snapshot, Services: []string{"web"}}, {Name: "cache", Protect: "none"}, {Name: "uploads", Protect: fleet.Snapshot}}}}
	for i := range w.Snapshots {
		w.Snapshots[i].Volumes, w.Snapshots[i].Images = []string{"@data"}, map[string]string{"web": "web@sha256:1"}
	}
	at := s.Lock.Stacks["notes"]
	at.Images = map[string]string{"web": "web@sha256:2"}
	s.Lock.Stacks["notes"] = at
	p, err := Prepare(t.Context(), s, "notes", Options{Volumes: []string{"./data", "@data"}})
	if err != nil || len(p.Loses) != 1 || !strings.Contains(p.Loses[0], "to ./data since") || !strings.Contains(p.Question, "Restore ./data of notes") || !strings.Contains(p.Question, "another one ran of web.") {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wish := s.Lock.Stacks["notes"].Restore
	if wish == nil || !slices.Equal(wish.Volumes, []string{"@data"}) || !cmp.Equal(w.Applied("beta").Host.Stacks[0].Restore, wish) {
		t.Fatalf("%+v", wish)
	}
	for _, o := range []Options{{Volumes: []string{"@data"}}, {}} {
		again, err := Prepare(t.Context(), s, "notes", o)
		if err == nil {
			_, err = again.Run(t.Context(), nil)
		}
		if same := s.Lock.Stacks["notes"].Restore.ID == wish.ID; err != nil || same != (len(o.Volumes) > 0) {
			t.Errorf("%v: the same wish %t, %v", o.Volumes, same, err)
		}
	}
	for name, want := range map[string]string{
		"cache":   "volume cache of notes is in no snapshot: protect: none",
		"upload":  "stack notes has no volume upload, did you mean \"uploads\"?",
		"uploads": "snapshot bbbbbbbb of notes does not have volume uploads: it has @data",
	} {
		if _, err := Prepare(t.Context(), s, "notes", Options{Volumes: []string{name}}); err == nil || err.Error() != want || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestARestoreOfATime takes the newest snapshot until that time, by the second as lists show it.
func TestARestoreOfATime(t *testing.T) {
	t.Parallel()
	_, s := world()
	for at, want := range map[int64]string{1000: "aa", 1999: "aa", 2000: "bb", 9000: "bb"} {
		p, err := Prepare(t.Context(), s, "notes", Options{At: time.Unix(at, 0)})
		if err != nil || !strings.Contains(p.Question, "snapshot "+strings.Repeat(want, 4)) {
			t.Errorf("%d: %s, %v", at, p.Question, err)
		}
	}
	if _, err := Prepare(t.Context(), s, "notes", Options{At: time.Unix(999, 0)}); err == nil || !strings.Contains(err.Error(), "has no snapshot of ") || fault.Hint(err) != "salvor snapshot ls notes" {
		t.Errorf("before the first: %v", err)
	}
}
