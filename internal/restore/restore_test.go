package restore

import (
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
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
		if got := goesOn(wish, c.snapshot, c.told); got != c.goesOn {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestRestoreIsPartOfTheCommit: the wish is committed before the host hears of
// it, and said again it is the same wish. The stack is started for it.
func TestRestoreIsPartOfTheCommit(t *testing.T) {
	t.Parallel()
	w, s := world()
	p, err := Prepare(t.Context(), s, "notes", "", "")
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
	if sent := w.Applied("beta").Host.Stacks[0].Restore; sent == nil || *sent != *at.Restore {
		t.Errorf("beta is to restore %+v", sent)
	}
	again, err := Prepare(t.Context(), s, "notes", "bb", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(t.Context(), nil); err != nil || s.Lock.Stacks["notes"].Restore.ID != at.Restore.ID {
		t.Errorf("said again: %v, %+v", err, s.Lock.Stacks["notes"].Restore)
	}
	other, err := Prepare(t.Context(), s, "notes", "aa", "")
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
	if _, err := Prepare(t.Context(), s, "notes", "", ""); err == nil || fault.Hint(err) != "salvor snapshot take notes" {
		t.Errorf("%v", err)
	}
	if _, err := Prepare(t.Context(), s, "blog", "", ""); err == nil || err.Error() != "stack blog is not placed anywhere" {
		t.Errorf("%v", err)
	}
}
