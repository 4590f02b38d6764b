package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/finding"
)

// TestWhatWasWrittenMeanwhileIsReadAgain: a file that was written while it was
// copied may look as it did, so that restic is given another change time.
func TestWhatWasWrittenMeanwhileIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, outside := filepath.Join(dir, "sub", "page"), filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, "content")
	write(t, outside, "not of the volume")
	if err := os.Chmod(path, 0o640|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	look := func(path string) (os.FileInfo, time.Time) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info, changed(info)
	}
	before, at := look(path)
	_, outsideAt := look(outside)
	waitFor(t, func() bool { return time.Since(at) > 10*time.Millisecond })

	var seen ages
	if err := seen.touchBetween(Volume{Path: dir}, at.Add(time.Nanosecond), time.Now()); seen.touched > 0 || err != nil {
		t.Fatal(err)
	}
	if _, now := look(path); !now.Equal(at) {
		t.Errorf("a file of before was touched: %s, %s", at, now)
	}
	for _, root := range []string{dir, path} {
		_, was := look(path)
		seen = ages{}
		if err := seen.touchBetween(Volume{Path: root}, at, time.Now()); seen != (ages{touched: 1}) || err != nil {
			t.Fatal(seen, err)
		}
		after, now := look(path)
		if !now.After(was) {
			t.Errorf("%s: restic does not see it: %s, %s", root, was, now)
		}
		if after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) || after.Size() != before.Size() {
			t.Errorf("%s: more was changed: %v %s", root, after.Mode(), after.ModTime())
		}
		waitFor(t, func() bool { return time.Since(now) > 10*time.Millisecond })
	}
	if _, now := look(outside); !now.Equal(outsideAt) {
		t.Error("a file outside of the volume was touched")
	}
	if err := seen.touchBetween(Volume{Path: filepath.Join(dir, "gone")}, at, time.Now()); err != nil {
		t.Errorf("a volume that is gone: %v", err)
	}
}

// TestWhatIsWrittenThroughAMappingIsTaken: a mapped file gets a new time only when
// a page of it becomes dirty, and not at every write.
func TestWhatIsWrittenThroughAMappingIsTaken(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	path := filepath.Join(l.data, "note")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.WriteString("one-")
	if err := errors.Join(err, f.Sync()); err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	copy(page, "two-")
	l.settle(t)
	l.fz.onRun = func() { copy(page, "tri-") } // just before the stack is frozen
	first := l.take(t, nil)
	l.fz.onRun = nil
	copy(page, "four")
	l.settle(t)
	last := l.take(t, nil)
	if err := unix.Munmap(page); err != nil {
		t.Fatal(err)
	}
	for range 2 { // what was doubted once is not doubted for ever
		l.settle(t)
		last = l.take(t, nil)
	}
	if !last.Skipped {
		t.Error("a stack that writes nothing more is not skipped")
	}
	l.wantRestored(t, "four")
	j := l.restoreJob()
	j.Snapshot = first.Snapshot.ID
	l.restore(t, j)
	if got, err := os.ReadFile(path); err != nil || string(got) != "tri-" {
		t.Errorf("the first has %q, %v", got, err)
	}
}

// TestABrokenPauseIsMadeAgain is F13's kin: files that are copied in a pause are
// those of one moment, or the snapshot says that they may not be.
func TestABrokenPauseIsMadeAgain(t *testing.T) {
	t.Parallel()
	for loops, broken := range map[int]bool{0: false, 1: false, pauseTries: true} {
		l := newLab(t)
		write(t, filepath.Join(l.data, "note"), "one")
		l.fz.loops, l.fz.onStart = loops, func() { write(t, filepath.Join(l.data, "note"), "two") }
		r := l.take(t, nil)
		if r.Snapshot.ID == "" || broken != (len(r.Findings) == 1 && r.Findings[0].Code == finding.PauseBroken) || !broken && len(r.Findings) > 0 {
			t.Errorf("%d loops: %+v", loops, r)
		}
		if got := l.fz.count["pause"]; got != min(loops+1, pauseTries) {
			t.Errorf("%d loops: paused %d times", loops, got)
		}
		if loops == 1 {
			l.wantRestored(t, "two")
		}
	}
}
