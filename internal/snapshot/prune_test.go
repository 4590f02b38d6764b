package snapshot

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// size is how much a repository holds of a kind.
func (l *lab) size(t *testing.T, kind string) (bytes int64) {
	t.Helper()
	objects, err := l.store.List(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		bytes += o.Size
	}
	return bytes
}

// noise is text that does not compress, of a million bytes.
func noise(seed uint32) string {
	b := make([]byte, 1_000_000)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return string(b)
}

// TestS03AnOperatorPrunesWhatHostsMayNotDelete takes snapshots to an append-only
// repository, prunes it without restic, and has restic continue with what is left: it
// restores, reads back whole, and takes the next one.
func TestS03AnOperatorPrunesWhatHostsMayNotDelete(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	operator := l.repo
	l.repo = operator.AppendOnly()
	rich(t, l.data)
	var ids []string
	var last Result
	for seed := range 3 {
		write(t, filepath.Join(l.data, "plain"), noise(uint32(seed)))
		last = l.take(t, nil)
		ids = append(ids, last.Snapshot.ID)
	}
	operator.Trust = Trust{Epoch: 1, Proven: Mark{Epoch: 1, Seq: 3, ID: ids[2]}, Known: last.Known}
	plan, err := PlanPrune(t.Context(), operator, "notes", fleet.Keep{Last: 1}, time.Now())
	if err != nil || len(plan.Keep) != 1 || len(plan.Forget) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	before := l.size(t, "data")
	for range 2 { // interrupted it is called again
		if _, err := Prune(t.Context(), operator, plan); err != nil {
			t.Fatal(err)
		}
	}
	if after := l.size(t, "data"); before-after < 1_500_000 {
		t.Errorf("%d bytes of data, %d before", after, before)
	}
	if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil {
		t.Error(err)
	}
	want := manifest(t, l.data)
	l.restore(t, l.restoreJob())
	if diff := cmp.Diff(want, manifest(t, l.data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	write(t, filepath.Join(l.data, "plain"), noise(1)) // what was removed is uploaded again
	next := l.take(t, nil)
	if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil || next.Snapshot.Seq != 4 || next.Repaired != 0 {
		t.Errorf("the next: %+v, %v", next, err)
	}
}

// TestS03PruningRepairsWhatAHostMayNot loses a pack of an append-only repository: the
// host refuses to build on it, pruning takes it out of the index, and the host uploads
// it again.
func TestS03PruningRepairsWhatAHostMayNot(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	operator := l.repo
	l.repo = operator.AppendOnly()
	write(t, filepath.Join(l.data, "plain"), noise(1))
	write(t, filepath.Join(l.data, "other"), noise(2))
	r := l.take(t, nil)
	operator.Trust = Trust{Epoch: 1, Proven: Mark{Epoch: 1, Seq: 1, ID: r.Snapshot.ID}, Known: r.Known}
	meta := l.metaPack(t, r.Snapshot.ID)
	lost := slices.DeleteFunc(l.all(t, "data"), func(p string) bool { return p == meta })
	l.remove(t, lost[0])
	if _, err := l.Take(t.Context(), l.job()); err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Fatalf("taken on top of it: %v", err)
	}
	plan, err := PlanPrune(t.Context(), operator, "notes", fleet.Keep{Last: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if swept, _ := Prune(t.Context(), operator, plan); swept.Lost != 1 { // the one snapshot stays damaged, which is an error
		t.Fatalf("%+v", swept)
	}
	want := manifest(t, l.data)
	l.take(t, func(j *Job) { j.Force = true })
	l.restore(t, l.restoreJob())
	if diff := cmp.Diff(want, manifest(t, l.data)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestS13SnapshotsOfOtherDaysPushNothingOut: a host that is in other hands, and still
// has its stack, takes snapshots that say times of the past and of the future. They are
// proven, and push out none of the good ones of those days.
func TestS13SnapshotsOfOtherDaysPushNothingOut(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC) }
	var good, planted []Info
	for n := 1; n <= 9; n++ {
		good = append(good, Info{ID: "good" + day(n).Format("02"), Epoch: 1, Seq: n, Time: day(n), Volumes: []string{"data"}})
		planted = append(planted, Info{ID: "back" + day(n).Format("02"), Epoch: 1, Seq: 100 + n, Time: day(n).Add(-24 * time.Hour), Volumes: []string{"data"}})
		planted = append(planted, Info{ID: "ahead" + day(n).Format("02"), Epoch: 1, Seq: 200 + n, Time: day(n + 10), Volumes: []string{"data"}})
	}
	counted, aside := inOrder(slices.Concat(good, planted), day(9).Add(time.Minute))
	r := Retain(counted, fleet.Keep{Daily: 7})
	for _, i := range r.Forget {
		if !strings.HasPrefix(i.ID, "good0") || i.Seq > 2 {
			t.Errorf("%s is forgotten", i.ID)
		}
	}
	if len(r.Forget) != 2 || len(aside) != len(planted) {
		t.Errorf("%d forgotten, %d set aside of %d", len(r.Forget), len(aside), len(planted))
	}
}

// TestS13NothingIsPrunedWhereNothingIsProven refuses where the record does not say which
// snapshots were there when the newest was proven, and where that one is not listed.
func TestS13NothingIsPrunedWhereNothingIsProven(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "plain"), "one")
	r := l.take(t, nil)
	for name, trust := range map[string]Trust{
		"nothing is known": {},
		"only the newest":  {Epoch: 1, Proven: Mark{Epoch: 1, Seq: 1, ID: r.Snapshot.ID}},
		"it is missing":    {Epoch: 1, Proven: Mark{Epoch: 1, Seq: 2, ID: strings.Repeat("ab", 32)}, Known: r.Known},
	} {
		repo := l.repo
		repo.Trust = trust
		if plan, err := PlanPrune(t.Context(), repo, "notes", fleet.Keep{Last: 1}, time.Now()); err == nil {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}
