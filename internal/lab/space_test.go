package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
)

func TestSpaceIsSaidForEachDisk(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	var rooms []room
	for _, path := range []string{a, b, filepath.Join(a, "of another machine")} {
		var err error
		if rooms, err = add(rooms, path, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if len(rooms) != 1 || rooms[0].need != 2<<20 || rooms[0].free == 0 {
		t.Errorf("two folders of one disk are %+v", rooms)
	}
}

func TestALineSaysHowMuchIsFree(t *testing.T) {
	line, err := said([]room{{paths: []string{"/a", "/b"}, free: 20 << 30, need: 15 << 30}, {paths: []string{"/c"}, free: 2 << 30, need: 1 << 30}})
	if want := "20.0 GiB free in /a and /b, 15.0 GiB are enough; 2.0 GiB free in /c, 1.0 GiB are enough"; line != want || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	_, err = said([]room{{paths: []string{"/a"}, free: 3 << 30, need: 15 << 30}})
	if !errors.Is(err, ErrFull) || err.Error() != "there is too little space: 3.0 GiB free in /a, a run needs up to 15.0 GiB" || !strings.Contains(fault.Hint(err), "salvorlab down") {
		t.Errorf("%v, hint %s", err, fault.Hint(err))
	}
}

func TestOnlyOldThingsAreRemoved(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{"new": time.Hour, "old": 100 * time.Hour} {
		if err := os.MkdirAll(filepath.Join(dir, name, "inside"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := removeOld(dir, now.Add(-unusedFor))
	if err != nil || len(removed) != 1 || filepath.Base(removed[0]) != "old" {
		t.Errorf("removed %v, %v", removed, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "new", "inside")); err != nil {
		t.Error(err)
	}
}

func TestAnImageCountsFromItsLastUse(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const tag = "salvor-lab-writer:1a2b"
	first, err := lastUse(tag)
	if err != nil || time.Since(first) > time.Minute {
		t.Fatalf("one that is seen for the first time was used at %v, %v", first, err)
	}
	path, err := usePath(tag)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-1000 * time.Hour)
	if err := os.Chtimes(path, long, long); err != nil {
		t.Fatal(err)
	}
	if at, err := lastUse(tag); err != nil || time.Since(at) < 999*time.Hour {
		t.Errorf("used at %v, %v", at, err)
	}
	if err := used(tag); err != nil {
		t.Fatal(err)
	}
	if at, err := lastUse(tag); err != nil || time.Since(at) > time.Minute {
		t.Errorf("used at %v, %v", at, err)
	}
}

// A run that was killed before it had anything on the engine is found by its folder.
func TestAFolderNamesItsOwner(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	me, err := owner()
	if err != nil {
		t.Fatal(err)
	}
	for id, owner := range map[string]string{"salvorlab-mine": me, "salvorlab-dead": "1-1-nowhere", "salvorlab-up": kept} {
		if _, err := newFolder(id, owner); err != nil {
			t.Fatal(err)
		}
	}
	owners, err := folders()
	if err != nil {
		t.Fatal(err)
	}
	if !alive(owners["salvorlab-mine"]) || alive(owners["salvorlab-dead"]) || owners["salvorlab-up"] != kept || len(owners) != 3 {
		t.Errorf("owners %v", owners)
	}
}
