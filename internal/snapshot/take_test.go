package snapshot

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/blob/blobtest"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/secret"
	"salvor/internal/snapshot/repository"
)

func TestTakeMakesAVerifiedSnapshot(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "a"), "one")
	l.fz.onRun = func() { write(t, filepath.Join(l.data, "b"), "written while pausing") }
	r := l.take(t, nil)
	if r.Snapshot.ID == "" || len(r.Findings) > 0 || !strings.Contains(r.Verified, "objects read back") {
		t.Fatalf("got %+v", r)
	}
	if r.Paused <= 0 || l.fz.count["pause"] != 1 || l.fz.count["unpause"] < 1 {
		t.Errorf("paused %v, calls %v", r.Paused, l.fz.count)
	}
	t.Logf("paused %v of %v", r.Paused, r.Duration)
	infos, err := l.infos(t)
	if err != nil || len(infos) != 1 || infos[0].ID != r.Snapshot.ID || infos[0].Seq != 1 || infos[0].Commit != "c0ffee" {
		t.Errorf("listing %+v, %v", infos, err)
	}
	if r.Files != 4 { // two files, snapshot.json, compose.yaml
		t.Errorf("%d files, want 4", r.Files)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Dirs.Run, "paused", "*")); len(left) > 0 {
		t.Errorf("still recorded as paused: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Dirs.State, "spool", "*", "*")); len(left) > 0 {
		t.Errorf("left in the spool: %v", left)
	}
	locks, err := l.store.List(t.Context(), "locks")
	if err != nil || len(locks) > 0 {
		t.Errorf("locks left: %v, %v", locks, err)
	}
}

// old makes a folder's times so old that a scan proves something.
func old(t *testing.T, l *lab) {
	t.Helper()
	cool(t, l.data)
}

// cool waits until a scan of a path proves something.
func cool(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		s, err := scanVolume(path, everything)
		if err != nil || time.Now().After(deadline) {
			t.Fatal("the volume does not cool down", err)
		}
		if !s.hot {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

func TestTakeSkipsWhatHasNotChanged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "a"), "one")
	old(t, l)
	first := l.take(t, nil)
	again := l.take(t, nil)
	if !again.Skipped || again.Snapshot.ID != first.Snapshot.ID || l.fz.count["pause"] != 1 {
		t.Fatalf("not skipped: %+v, %v", again, l.fz.count)
	}
	for name, change := range map[string]func(*Job){
		"forced":         func(j *Job) { j.Force = true },
		"another epoch":  func(j *Job) { j.Epoch = 2 },
		"another commit": func(j *Job) { j.Commit, j.Epoch = "beef", 2 },
	} {
		if r := l.take(t, change); r.Skipped {
			t.Errorf("%s: skipped", name)
		}
	}
	if err := os.Chmod(filepath.Join(l.data, "a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.take(t, func(j *Job) { j.Commit, j.Epoch = "beef", 2 }); r.Skipped {
		t.Error("a changed mode was skipped")
	}
}

func TestSuspiciousVolumesAreNotTaken(t *testing.T) {
	t.Parallel()
	fill := func(t *testing.T, dir string) {
		for n := range 40 {
			write(t, filepath.Join(dir, fmt.Sprint(n)), strings.Repeat("x", 4096))
		}
	}
	for _, tt := range []struct {
		name   string
		damage func(dir string) error
		want   finding.Code
		accept bool // AcceptShrunk makes it good
	}{
		{"empty", func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)) }, finding.VolumeEmpty, true},
		{"missing", os.RemoveAll, finding.VolumeMissing, false},
		{"shrunken", func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "0"), []byte("x"), 0o644))
		}, finding.VolumeShrunk, true},
	} {
		for _, noted := range []bool{true, false} { // does this host remember the last snapshot?
			t.Run(fmt.Sprintf("%s, noted %v", tt.name, noted), func(t *testing.T) {
				l := newLab(t)
				fill(t, l.data)
				good := l.take(t, nil)
				if err := tt.damage(l.data); err != nil {
					t.Fatal(err)
				}
				if !noted {
					if err := os.Remove((&taking{engine: l.Engine, job: l.job()}).statePath()); err != nil {
						t.Fatal(err)
					}
				}
				r := l.take(t, nil)
				if len(r.Findings) != 1 || r.Findings[0].Code != tt.want || !finding.AnyFatal(r.Findings) {
					t.Fatalf("findings %v, want %s", r.Findings, tt.want)
				}
				infos, err := l.infos(t)
				if newest, _ := Newest(infos); err != nil || newest.ID != good.Snapshot.ID {
					t.Errorf("newest is %v, %v", newest, err)
				}
				r = l.take(t, func(j *Job) { j.AcceptShrunk = true })
				if taken := r.Snapshot.ID != "" && len(r.Findings) == 0; taken != tt.accept {
					t.Errorf("accepted: %+v", r)
				}
			})
		}
	}
}

func TestPauseTooLongIsGivenUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for n := range 2000 {
		write(t, filepath.Join(l.data, fmt.Sprint(n)), fmt.Sprint(n))
	}
	r := l.take(t, func(j *Job) { j.PauseLimit = time.Nanosecond })
	if len(r.Findings) != 1 || r.Findings[0].Code != finding.PauseTooLong {
		t.Fatalf("got %+v", r)
	}
	if _, err := os.Stat(filepath.Join(l.fz.dir, "frozen")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still frozen: %v", err)
	}
	if infos, err := l.infos(t); err != nil || len(infos) > 0 {
		t.Errorf("snapshots %v, %v", infos, err)
	}
	if r := l.take(t, nil); r.Snapshot.ID == "" { // leftovers do not get in the way
		t.Errorf("the next one fails: %+v", r)
	}
}

// TestKilledWhilePausedIsResumed kills (-9) a process that has paused a stack.
func TestKilledWhilePausedIsResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "pause-and-hang", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "paused\n" {
		t.Fatalf("%q, %v", line, err)
	}
	frozen := filepath.Join(dir, "frozen")
	if _, err := os.Stat(frozen); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	waitFor(t, func() bool {
		_, err := os.Stat(frozen)
		return errors.Is(err, os.ErrNotExist)
	})
	// the engine may carry out a pause that was asked for just before: the daemon
	// looks again
	if left, err := AllPaused(hostpath.Layout{Run: dir}); err != nil || len(left) != 1 || left[0].Overdue {
		t.Errorf("recorded: %+v, %v", left, err)
	}
}

func waitFor(t *testing.T, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatal("did not happen in 10 s")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestResume has stacks continue whose snapshot is gone: of one record that can't be
// read, it is unknown which containers it meant.
func TestResume(t *testing.T) {
	t.Parallel()
	d := hostpath.Layout{Run: t.TempDir()}
	f := &freezer{dir: d.Run}
	if err := f.Pause(t.Context(), func(ids []string) error { return recordPaused(d, "notes", time.Minute, ids) }); err != nil {
		t.Fatal(err)
	}
	write(t, d.Paused("torn"), "not even JSON")
	if err := recordPaused(d, "unpaused", time.Minute, nil); err != nil {
		t.Fatal(err)
	}
	all, err := AllPaused(d)
	if err != nil || len(all) != 3 || all[0].Stack != "notes" || all[0].Overdue || !all[1].Overdue || all[2].Overdue {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := Resume(t.Context(), d, "notes", f, true); err != nil || f.count["unpause"] != 1 {
		t.Errorf("%v, %v", err, f.count)
	}
	if left, _ := AllPaused(d); len(left) != 3 {
		t.Errorf("forgotten while a snapshot holds it: %+v", left)
	}
	for range 2 {
		for _, p := range all {
			if err := Resume(t.Context(), d, p.Stack, f, false); err != nil {
				t.Error(err)
			}
		}
	}
	if left, err := AllPaused(d); err != nil || len(left) != 0 || f.count["unpause"] != 3 {
		t.Errorf("%+v, %v, resumed %d times", left, err, f.count["unpause"])
	}
}

// TestWrongPassword must come out as the error with exit code 12.
func TestWrongPassword(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	j := l.job()
	j.Repository.Password = secret.NewString("another")
	if _, err := l.Take(t.Context(), j); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
}

func TestNoRepository(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	j := l.job()
	j.Repository.Store = &blobtest.Memory{}
	if _, err := l.Take(t.Context(), j); !errors.Is(err, ErrNoRepository) {
		t.Errorf("got %v, want ErrNoRepository", err)
	}
}

func (l *lab) failPuts(fail func(path string) bool) {
	l.store.Fail = func(op, path string) error {
		if op == "put" && fail(path) {
			return errors.New("the remote is full")
		}
		return nil
	}
}

// TestFailedUploadIsNotGreen fails each kind of object in turn.
func TestFailedUploadIsNotGreen(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"locks/", "data/", "index/", "snapshots/"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			write(t, filepath.Join(l.data, "a"), "good")
			good := l.take(t, nil)
			write(t, filepath.Join(l.data, "a"), "new, and it will not arrive")
			l.failPuts(func(path string) bool { return strings.HasPrefix(path, kind) })
			r, err := l.Take(t.Context(), l.job())
			if err == nil || !strings.Contains(err.Error(), "the remote is full") || r.Snapshot.ID != "" {
				t.Fatalf("got %+v, %v", r, err)
			}
			l.store.Fail = nil
			infos, err := l.infos(t)
			if newest, _ := Newest(infos); err != nil || len(infos) != 1 || newest.ID != good.Snapshot.ID {
				t.Errorf("snapshots %+v, %v", infos, err)
			}
			l.restore(t, l.restoreJob())
			if got, _ := os.ReadFile(filepath.Join(l.data, "a")); string(got) != "good" {
				t.Errorf("restored %q", got)
			}
			if r := l.take(t, nil); r.Snapshot.ID == "" {
				t.Errorf("the next one fails: %+v", r)
			}
		})
	}
}

// TestOnlyLiveFilesMayVanish: files of other volumes that can't be read are errors.
func TestOnlyLiveFilesMayVanish(t *testing.T) {
	t.Parallel()
	j := &taking{job: Job{Stack: "notes", Volumes: []Volume{
		{Name: "live", Path: t.TempDir(), Method: fleet.Live}, {Name: "still", Path: t.TempDir(), Method: fleet.Pause},
	}}}
	write(t, filepath.Join(j.job.Volumes[0].Path, "there"), "x")
	for path, want := range map[string]bool{
		"/salvor/notes/live/gone": true, "/salvor/notes/live/there": false,
		"/salvor/notes/still/gone": false, "/salvor/notes/.salvor/snapshot.json": false, "elsewhere": false,
	} {
		if got := j.vanished(path); got != want {
			t.Errorf("vanished(%s) = %v", path, got)
		}
	}
}

func TestLocksAreJudgedByEpoch(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"salvor-epoch-3": true, "salvor-epoch-2": true, "salvor-epoch-4": false, "laptop": false, "salvor-epoch-x": false} {
		if got := ours(repository.Lock{Hostname: name}, 3); got != want {
			t.Errorf("ours(%s) = %v", name, got)
		}
	}
}

func TestTagsRoundTrip(t *testing.T) {
	t.Parallel()
	want := Info{Epoch: 3, Seq: 14, Commit: "abc", Volumes: []string{"./data", "a,b+c", "db"}, Diverged: true}
	var tags []string
	for _, tag := range want.tags() {
		tags = append(tags, strings.Split(tag, ",")...) // as restic does
	}
	got, ok := ParseTags(tags)
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNewestIsByEpochAndSequence(t *testing.T) {
	t.Parallel()
	infos := []Info{
		{ID: "a", Epoch: 1, Seq: 9, Time: time.Unix(900, 0)}, {ID: "b", Epoch: 2, Seq: 1, Time: time.Unix(1, 0)},
		{ID: "c", Epoch: 2, Seq: 2, Time: time.Unix(0, 0)}, {ID: "d", Epoch: 3, Seq: 1, Diverged: true},
	}
	for range len(infos) {
		infos = slices.Concat(infos[1:], infos[:1])
		if got, ok := Newest(infos); !ok || got.ID != "c" {
			t.Errorf("newest is %+v", got)
		}
	}
}

func FuzzParseTags(f *testing.F) {
	f.Add("volumes=a+b\nepoch=1\nseq=2\ncommit=c\ndiverged")
	f.Add("volumes=%zz\nepoch=-1\nseq=x")
	f.Fuzz(func(t *testing.T, lines string) {
		i, ok := ParseTags(strings.Split(lines, "\n"))
		if ok && (i.Epoch < 0 || i.Seq < 0) {
			t.Errorf("%+v", i)
		}
	})
}
