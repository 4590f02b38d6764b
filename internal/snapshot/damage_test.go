package snapshot

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/snapshot/repository"
)

// series takes three snapshots of a file that says one, two, three.
func (l *lab) series(t *testing.T) []Info {
	t.Helper()
	var all []Info
	for _, content := range []string{"one", "two", "three"} {
		write(t, filepath.Join(l.data, "note"), content)
		r := l.take(t, nil)
		if r.Snapshot.ID == "" {
			t.Fatalf("no snapshot was taken: %+v", r.Findings)
		}
		all = append(all, r.Snapshot)
	}
	return all
}

func (l *lab) wantRestored(t *testing.T, want string) {
	t.Helper()
	l.wantRestoredFrom(t, l.restoreJob(), want)
}

func (l *lab) wantRestoredFrom(t *testing.T, j RestoreJob, want string) {
	t.Helper()
	l.restore(t, j)
	if got, err := os.ReadFile(filepath.Join(l.data, "note")); err != nil || string(got) != want {
		t.Errorf("restored %q, %v; want %q", got, err, want)
	}
}

// TestANewestSnapshotThatDoesNotReadBackHidesNothing is fault V6: the pack with
// the newest snapshot's metadata is lost, and the two before are good.
func TestANewestSnapshotThatDoesNotReadBackHidesNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	all := l.series(t)
	l.remove(t, l.metaPack(t, all[2].ID))

	described, err := Describe(t.Context(), l.repo, "notes")
	if err != nil || len(described) != 3 || described[1].Damaged != "" || described[2].Damaged == "" {
		t.Fatalf("described %+v, %v", described, err)
	}
	usable, err := Usable(t.Context(), l.repo, "notes")
	if newest, _ := Newest(usable.Infos); err != nil || newest.ID != all[1].ID || len(usable.Damaged) != 1 {
		t.Errorf("usable %+v, %v", usable, err)
	}
	l.wantRestored(t, "two")
	j := l.restoreJob()
	j.Snapshot = all[0].ID
	l.restore(t, j)
	if got, _ := os.ReadFile(filepath.Join(l.data, "note")); string(got) != "one" {
		t.Errorf("restored %q by id", got)
	}
	if j.Snapshot = all[2].ID; true {
		if _, err := l.Fetch(t.Context(), j); !errors.Is(err, ErrDamaged) {
			t.Errorf("the damaged one by id: %v", err)
		}
	}
	if err := os.RemoveAll(filepath.Join(l.Dirs.State, "snapshots")); err != nil { // a host without a note of it
		t.Fatal(err)
	}
	write(t, filepath.Join(l.data, "note"), "four")
	r := l.take(t, nil)
	if r.Snapshot.Seq != all[2].Seq+1 || r.Repaired == 0 || r.Damaged[all[2].ID] == "" {
		t.Errorf("took %+v", r)
	}
	l.wantRestored(t, "four")
}

// TestASnapshotThatDoesNotReadBackIsTakenAway is fault V6: what a failed
// snapshot has written does not stay as the newest.
func TestASnapshotThatDoesNotReadBackIsTakenAway(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "note"), "one")
	good := l.take(t, nil)
	write(t, filepath.Join(l.data, "note"), "two")
	before := l.all(t, "snapshots")
	l.store.Fail = func(op, path string) error {
		if op == "get" && strings.HasPrefix(path, "snapshots/") && !slices.Contains(before, path) {
			return errors.New("it does not read back")
		}
		return nil
	}
	if r, err := l.Take(t.Context(), l.job()); err == nil || r.Snapshot.ID != "" {
		t.Fatalf("green: %+v", r)
	}
	l.store.Fail = nil
	if infos, err := l.infos(t); err != nil || len(infos) != 1 || infos[0].ID != good.Snapshot.ID {
		t.Errorf("left %+v, %v", infos, err)
	}
}

// TestOneFlippedBitInASnapshotFile is fault V7: the oldest of three snapshots is
// changed, the two newer ones are perfect.
func TestOneFlippedBitInASnapshotFile(t *testing.T) {
	t.Parallel()
	for which, want := range map[int]string{0: "three", 2: "two"} {
		l := newLab(t)
		all := l.series(t)
		l.change(t, "snapshots/"+all[which].ID, flip)
		described, err := Describe(t.Context(), l.repo, "notes")
		at := slices.IndexFunc(described, func(d Described) bool { return d.Info.ID == all[which].ID })
		if err != nil || len(described) != 3 || described[at].Damaged == "" {
			t.Fatalf("described %+v, %v", described, err)
		}
		if which == 0 {
			l.wantRestored(t, want)
		}
		if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("check says %v", err)
		}
		if which == 2 {
			l.wantRestored(t, want)
		}
		write(t, filepath.Join(l.data, "note"), "four")
		if r := l.take(t, nil); r.Snapshot.ID == "" || len(r.Findings) != 1 {
			t.Errorf("took %+v", r)
		}
		l.wantRestored(t, "four")
	}
}

// strays are what file servers and desktops leave in folders.
var strays = []string{"Thumbs.db", ".nfs0001", "desktop.ini", ".DS_Store", "Icon\r", "abcdef", strings.Repeat("A", 64)}

// TestStrayFilesChangeNothing is fault V7: files that do not belong to the repository
// are in every folder of it.
func TestStrayFilesChangeNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.series(t)
	for _, dir := range []string{"", "snapshots/", "locks/", "index/", "keys/", "data/", "data/ab/"} {
		for _, name := range strays {
			if _, err := l.store.Put(t.Context(), dir+name, strings.NewReader("stray"), 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	if described, err := Describe(t.Context(), l.repo, "notes"); err != nil || len(described) != 3 {
		t.Errorf("described %+v, %v", described, err)
	}
	if c, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil || c.Packs == 0 {
		t.Errorf("checked %+v, %v", c, err)
	}
	l.wantRestored(t, "three")
	write(t, filepath.Join(l.data, "note"), "four")
	if r := l.take(t, nil); r.Snapshot.ID == "" || len(r.Findings) > 0 {
		t.Errorf("took %+v", r)
	}
	if _, err := l.ApplyRetention(t.Context(), l.repo, Claim{Stack: "notes", Epoch: 1, Holds: always}, fleet.Keep{Last: 1}); err != nil {
		t.Errorf("thin: %v", err)
	}
	l.wantRestored(t, "four")
}

// TestAStrayFileIsNotARepository: a repository may be made where only strays are.
func TestAStrayFileIsNotARepository(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, path := range l.all(t, "keys") {
		l.remove(t, path)
	}
	l.remove(t, "config")
	if _, err := l.store.Put(t.Context(), "snapshots/Thumbs.db", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if there, err := repository.Exists(t.Context(), l.store); err != nil || there {
		t.Errorf("%v, %v", there, err)
	}
}

// TestADamagedLockIsRemoved is fault V7's kin: restic stops at a lock that it
// can't read.
func TestADamagedLockIsRemoved(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.series(t)
	path := "locks/" + strings.Repeat("ab", 32)
	if _, err := l.store.Put(t.Context(), path, strings.NewReader("garbage"), 7); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.data, "note"), "four")
	l.take(t, nil)
	if left := l.all(t, "locks"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestAFlippedIndexIsRebuilt is fault V7: restic reads its cache and sees
// nothing, and a restore from elsewhere would fail.
func TestAFlippedIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	all := l.series(t)
	for _, path := range l.all(t, "index") {
		l.change(t, path, flip)
	}
	write(t, filepath.Join(l.data, "note"), "four")
	r := l.take(t, nil)
	if r.Repaired == 0 || len(r.Damaged) > 0 {
		t.Errorf("took %+v", r)
	}
	if c, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil || c.Snapshots != 4 {
		t.Errorf("checked %+v, %v", c, err)
	}
	l.wantRestored(t, "four")
	j := l.restoreJob()
	j.Snapshot = all[0].ID
	l.restore(t, j)

	for _, path := range l.all(t, "index") { // and on a host that only restores
		l.change(t, path, flip)
	}
	l.wantRestored(t, "four")
}

// TestALostIndexIsRebuilt is fault V7's kin: of several index objects one is
// gone, and one bit of another has flipped. The next snapshot repairs both, with
// the real restic.
func TestALostIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	all := l.series(t)
	indexes := l.all(t, "index")
	if len(indexes) < 2 {
		t.Fatalf("indexes %v", indexes)
	}
	l.remove(t, indexes[0])
	l.change(t, indexes[1], flip)
	write(t, filepath.Join(l.data, "note"), "four")
	r := l.take(t, nil)
	if r.Repaired == 0 || len(r.Damaged) > 0 {
		t.Errorf("took %+v", r)
	}
	if c, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); err != nil || c.Snapshots != 4 {
		t.Errorf("checked %+v, %v", c, err)
	}
	l.wantRestored(t, "four")
	for i, want := range []string{"one", "two", "three"} {
		j := l.restoreJob()
		j.Snapshot = all[i].ID
		l.wantRestoredFrom(t, j, want)
	}
}

// TestTheOnlyIndexIsRebuilt is fault V7's kin: nothing that is left names the
// packs of older snapshots, and the next snapshot brings all of them back.
func TestTheOnlyIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	all := l.series(t)
	for _, index := range l.all(t, "index") {
		l.remove(t, index)
	}
	write(t, filepath.Join(l.data, "note"), "four")
	if r := l.take(t, nil); r.Repaired == 0 || len(r.Findings) > 0 {
		t.Errorf("took %+v", r)
	}
	for i, want := range []string{"one", "two", "three"} {
		j := l.restoreJob()
		j.Snapshot = all[i].ID
		l.wantRestoredFrom(t, j, want)
	}
	l.wantRestored(t, "four")
}

// TestARepairAsksBeforeItDeletes: a host that has lost the stack meanwhile deletes
// nothing of its repository, neither at a snapshot nor at a restore.
func TestARepairAsksBeforeItDeletes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.series(t)
	for _, path := range l.all(t, "index") {
		l.change(t, path, flip)
	}
	before := l.all(t, "index")
	lost := errors.New("another host has it")
	holds := func(context.Context) error { return lost }
	taking, restoring := l.job(), l.restoreJob()
	taking.Holds, restoring.Holds = holds, holds
	taking.Force, restoring.Epoch = true, taking.Epoch
	for name, repair := range map[string]func() error{
		"snapshot": func() error { _, err := l.Take(t.Context(), taking); return err },
		"restore":  func() error { _, err := l.Fetch(t.Context(), restoring); return err },
	} {
		if err := repair(); !errors.Is(err, lost) {
			t.Errorf("%s: %v", name, err)
		}
		after := l.all(t, "index")
		if slices.ContainsFunc(before, func(path string) bool { return !slices.Contains(after, path) }) {
			t.Errorf("%s: left %v of %v", name, after, before)
		}
	}
	l.wantRestored(t, "three")
}

// TestASnapshotRestsOnNothingThatIsLost is fault V8: the remote loses or changes
// a pack of data that the host still has. The next snapshot uploads it again.
func TestASnapshotRestsOnNothingThatIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage   func(l *lab, path string)
		suspects bool // only reading the pack shows it
		forever  bool // the first snapshot's own metadata went with it
	}{
		"missing":   {damage: func(l *lab, path string) { l.remove(t, path) }, forever: true},
		"cut short": {damage: func(l *lab, path string) { l.change(t, path, func(b []byte) []byte { return b[:len(b)/2] }) }},
		"flipped":   {damage: func(l *lab, path string) { l.change(t, path, flip) }, suspects: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			want := make([]byte, 3<<20)
			if _, err := rand.Read(want); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(l.data, "note"), "one")
			write(t, filepath.Join(l.data, "large"), string(want))
			first := l.take(t, nil)
			c.damage(l, l.largest(t))

			checked, err := CheckShare(t.Context(), l.repo, "notes", 0, 1)
			if !errors.Is(err, ErrDamaged) || len(checked.Suspects) != 1 || checked.Damaged[first.Snapshot.ID] == "" {
				t.Fatalf("checked %+v, %v", checked, err)
			}
			if _, err := l.Fetch(t.Context(), l.restoreJob()); !errors.Is(err, ErrDamaged) {
				t.Errorf("fetched: %v", err)
			}
			r := l.take(t, func(j *Job) {
				j.Force = true
				if c.suspects {
					j.Suspects = checked.Suspects
				}
			})
			if r.Snapshot.ID == "" || r.Repaired == 0 || c.forever != (r.Damaged[first.Snapshot.ID] != "") {
				t.Fatalf("took %+v", r)
			}
			l.repo.Damaged = r.Damaged
			if _, err := CheckShare(t.Context(), l.repo, "notes", 0, 1); c.forever != errors.Is(err, ErrDamaged) {
				t.Errorf("afterwards: %v", err)
			}
			ids := []string{""}
			if !c.forever {
				ids = append(ids, first.Snapshot.ID) // is whole again, too
			}
			for _, id := range ids {
				write(t, filepath.Join(l.data, "large"), "other")
				j := l.restoreJob()
				j.Snapshot = id
				l.restore(t, j)
				if got, _ := os.ReadFile(filepath.Join(l.data, "large")); !bytes.Equal(got, want) {
					t.Error("the large file is not what it was")
				}
			}
		})
	}
}

func (l *lab) largest(t *testing.T) string {
	t.Helper()
	objects, err := l.store.List(t.Context(), "data")
	if err != nil {
		t.Fatal(err)
	}
	large := objects[0]
	for _, o := range objects {
		if o.Size > large.Size {
			large = o
		}
	}
	return "data/" + large.Path
}

// TestWhatTheHostHasNotIsSaid is fault V8: what is lost and gone from the host,
// too, stays lost; the snapshot that needs it is named, the new one is whole.
func TestWhatTheHostHasNotIsSaid(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	content := make([]byte, 1<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(l.data, "large"), string(content))
	write(t, filepath.Join(l.data, "note"), "one")
	old := l.take(t, nil)
	l.remove(t, l.largest(t))
	write(t, filepath.Join(l.data, "large"), strings.Repeat("other", 100_000))
	r := l.take(t, nil)
	if r.Snapshot.ID == "" || r.Damaged[old.Snapshot.ID] == "" {
		t.Fatalf("took %+v", r)
	}
	l.repo.Damaged = r.Damaged
	listed, err := List(t.Context(), l.repo)
	if err != nil || len(listed.Infos) != 1 || len(listed.Damaged) != 1 {
		t.Errorf("listed %+v, %v", listed, err)
	}
	l.wantRestored(t, "one")
}

// TestAnUnchangedStackRestsOnNothingThatIsLost is fault V8's kin: nothing has
// changed on the host, the remote has lost everything, and a skipped snapshot
// would count as good.
func TestAnUnchangedStackRestsOnNothingThatIsLost(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "note"), "one")
	l.settle(t)
	l.take(t, nil)
	for _, path := range l.all(t, "data") {
		l.remove(t, path)
	}
	state, err := stateOf((&taking{engine: l.Engine, job: l.job()}).statePath())
	if err != nil {
		t.Fatal(err)
	}
	state.Checked = state.Checked.Add(-2 * checkEvery)
	if err := state.save((&taking{engine: l.Engine, job: l.job()}).statePath()); err != nil {
		t.Fatal(err)
	}
	if r := l.take(t, nil); r.Skipped || r.Repaired == 0 {
		t.Errorf("took %+v", r)
	}
	l.wantRestored(t, "one")
}

// settle makes everything in the volume old enough for a scan to prove something.
func (l *lab) settle(t *testing.T) {
	t.Helper()
	waitFor(t, func() bool {
		s, err := scanVolume(l.data, everything)
		return err == nil && !s.hot
	})
}

// TestTheKeyAndTheConfigurationComeBack is fault V7: one bit of the only key file
// flips, or the configuration goes, which is not a wrong password.
func TestTheKeyAndTheConfigurationComeBack(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*lab){
		"key flipped":    func(l *lab) { l.change(t, l.all(t, "keys")[0], flip) },
		"key gone":       func(l *lab) { l.remove(t, l.all(t, "keys")[0]) },
		"config flipped": func(l *lab) { l.change(t, "config", flip) },
		"config gone":    func(l *lab) { l.remove(t, "config") },
		"both gone": func(l *lab) {
			l.remove(t, "config")
			l.remove(t, l.all(t, "keys")[0])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.series(t)
			spare := l.take(t, func(j *Job) { j.Force = true }).Spare
			if !spare.Whole() {
				t.Fatal("a snapshot returns no copies")
			}
			damage(l)
			if there, err := repository.Exists(t.Context(), l.store); err != nil || !there {
				t.Errorf("exists: %v, %v", there, err)
			}
			if _, err := l.Fetch(t.Context(), l.restoreJob()); !errors.Is(err, ErrDamaged) || errors.Is(err, secret.ErrLocked) || errors.Is(err, ErrNoRepository) {
				t.Errorf("without the copies: %v", err)
			}
			l.repo.Spare = spare
			wrong := l.repo
			wrong.Password = secret.NewString("another")
			if _, err := List(t.Context(), wrong); err == nil {
				t.Error("a wrong password opens")
			}
			l.wantRestored(t, "three")
			l.repo.Spare = repository.Spare{} // they were put back
			l.wantRestored(t, "three")
			if keys := l.all(t, "keys"); len(keys) != 1 {
				t.Errorf("keys %v", keys)
			}
		})
	}
}
