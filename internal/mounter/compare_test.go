package mounter_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFlushComparesWithTheRemote damages what was uploaded: one file keeps its time, as on a disk that fails; another one
// is changed by a person, and a third one removed.
func TestFlushComparesWithTheRemote(t *testing.T) {
	s := newStand(t)
	s.Flush = true
	s.start()
	must(t, os.Mkdir(filepath.Join(s.Point, "new"), 0o755))
	for _, name := range []string{"new/damaged", "cut", "changed", "removed", "fine"} {
		must(t, os.WriteFile(filepath.Join(s.Point, name), []byte("as written"), 0o600))
	}
	s.uploaded()
	must(t, os.Rename(filepath.Join(s.Point, "new"), filepath.Join(s.Point, "folder")))
	damage := func(name, content string) {
		at := filepath.Join(s.Remote, name)
		info, err := os.Stat(at)
		must(t, err)
		must(t, os.WriteFile(at, []byte(content), 0o600))
		must(t, os.Chtimes(at, info.ModTime(), info.ModTime()))
	}
	damage("folder/damaged", "AS WRITTEN")
	damage("cut", "as")
	must(t, os.WriteFile(filepath.Join(s.Remote, "changed"), []byte("by a person"), 0o600))
	must(t, os.Chtimes(filepath.Join(s.Remote, "changed"), time.Time{}, time.Now().Add(time.Minute)))
	must(t, os.Remove(filepath.Join(s.Remote, "removed")))
	s.stop()
	for name, want := range map[string]string{"folder/damaged": "as written", "cut": "as written", "changed": "by a person", "fine": "as written"} {
		if got := read(t, filepath.Join(s.Remote, name)); string(got) != want {
			t.Errorf("%s is %q on the remote, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Remote, "removed")); !os.IsNotExist(err) {
		t.Errorf("what a person removed is there again: %v", err)
	}
	if left := s.unsent(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
