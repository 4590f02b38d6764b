package snapshot

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"salvor/internal/finding"
)

// TestWhatWasWrittenMeanwhileIsReadAgain: a file that was written while it was
// copied may look as it did, so that restic is given another change time.
func TestWhatWasWrittenMeanwhileIsReadAgain(t *testing.T) {
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

	if err := touchSince(dir, at.Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	if _, now := look(path); !now.Equal(at) {
		t.Errorf("a file of before was touched: %s, %s", at, now)
	}
	for _, root := range []string{dir, path} {
		_, was := look(path)
		if err := touchSince(root, at); err != nil {
			t.Fatal(err)
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
	if err := touchSince(filepath.Join(dir, "gone"), at); err != nil {
		t.Errorf("a volume that is gone: %v", err)
	}
}

// TestABrokenPauseIsMadeAgain is F13's kin: files that are copied in a pause are
// those of one moment, or the snapshot says that they may not be.
func TestABrokenPauseIsMadeAgain(t *testing.T) {
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
