package mount_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/mount"
)

// cached puts a file and its note into a cache.
func cached(t *testing.T, cache, name, note string, unsynced bool) {
	t.Helper()
	for folder, content := range map[string]string{"vfs": "0123456789", "vfsMeta": note} {
		at := filepath.Join(cache, folder, name)
		must(t, os.MkdirAll(filepath.Dir(at), 0o700))
		if content == "" {
			continue
		}
		must(t, os.WriteFile(at, []byte(content), 0o600))
		if folder == "vfsMeta" && unsynced {
			must(t, os.Chtimes(at, time.Time{}, mount.Unsynced()))
		}
	}
}

const (
	whole = `{"ModTime": "2026-11-01T12:00:00Z", "Size": 10, "Rs": [{"Pos": 0, "Size": 10}], "Fingerprint": "f", "Dirty": true}`
	part  = `{"ModTime": "2026-11-01T13:00:00Z", "Size": 10, "Rs": [{"Pos": 2, "Size": 3}], "Fingerprint": "f", "Dirty": true}`
)

func names(files mount.Unsent) map[string]bool {
	all := map[string]bool{}
	for _, f := range files {
		all[f.Volume+"/"+f.Path] = true
	}
	return all
}

// TestMend has every state of a file that a killed mounter can leave.
func TestMend(t *testing.T) {
	dir := t.TempDir()
	cache, keep, aside := filepath.Join(dir, "cache"), filepath.Join(dir, "keep"), filepath.Join(dir, "aside")
	cached(t, cache, "library/clean", strings.Replace(whole, "true", "false", 1), false)
	cached(t, cache, "library/whole", whole, true)
	cached(t, cache, "library/sub/part", part, false)
	cached(t, cache, "library/unsure", part, true)
	cached(t, cache, "library/changed", part, false)
	cached(t, cache, "library/torn", "{", false)
	cached(t, cache, "library/noteless", "", false)
	unsent, err := mount.Look(cache)
	must(t, err)
	if len(unsent) != 6 || unsent.Bytes() != 60 {
		t.Errorf("%d files of %d bytes wait: %v", len(unsent), unsent.Bytes(), unsent)
	}
	for range 2 { // it may be called again
		_, err := mount.Mend(cache, keep, aside, func(f mount.File) (bool, error) { return f.Path == "changed", nil })
		must(t, err)
	}
	unsent, err = mount.Look(cache)
	must(t, err)
	if diff := cmp.Diff(map[string]bool{"library/whole": true, "library/sub/part": true}, names(unsent)); diff != "" {
		t.Errorf("what is uploaded (-want +got):\n%s", diff)
	}
	for _, name := range []string{"unsure", "changed", "torn", "noteless"} {
		if content, err := os.ReadFile(filepath.Join(aside, "library", name)); err != nil || string(content) != "0123456789" {
			t.Errorf("%s was set aside as %q, %v", name, content, err)
		}
	}
	if _, err := os.Stat(filepath.Join(keep, "library/sub/part")); err != nil {
		t.Error(err)
	}
}

func TestMendStopsWhenTheRemoteIsAway(t *testing.T) {
	dir := t.TempDir()
	cached(t, dir, "library/part", part, false)
	away := errors.New("away")
	_, err := mount.Mend(dir, filepath.Join(dir, "keep"), filepath.Join(dir, "aside"), func(mount.File) (bool, error) { return false, away })
	if unsent, lookErr := mount.Look(dir); !errors.Is(err, away) || lookErr != nil || len(unsent) != 1 {
		t.Errorf("%v; %v wait, %v", err, unsent, lookErr)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	cache, to := filepath.Join(dir, "cache"), filepath.Join(dir, "quarantine/20261101T120000Z")
	cached(t, cache, "library/a", whole, false)
	cached(t, cache, "library/clean", strings.Replace(whole, "true", "false", 1), false)
	moved, err := mount.Quarantine(cache, to)
	must(t, err)
	listed, err := mount.Quarantined(filepath.Dir(to))
	must(t, err)
	want := map[string]bool{"library/a": true}
	if diff := cmp.Diff(want, names(moved)) + cmp.Diff(want, names(listed)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(cache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cache is still there: %v", err)
	}
	if again, err := mount.Quarantine(cache, to); err != nil || len(again) > 0 {
		t.Errorf("again: %v, %v", again, err)
	}
}

func TestStamp(t *testing.T) {
	stamp := filepath.Join(t.TempDir(), "owner/photos")
	fresh := mount.Fresh(stamp)
	if fresh() {
		t.Error("without a stamp it is fresh")
	}
	must(t, mount.Confirm(stamp))
	if !fresh() {
		t.Error("just confirmed, it is not fresh")
	}
	for _, age := range []time.Duration{mount.ConfirmedFor + time.Second, -time.Hour} {
		at := time.Now().Add(-age)
		must(t, os.Chtimes(stamp, at, at))
		if fresh() {
			t.Errorf("confirmed %s ago it is fresh", age)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLookWhileAFileMoves: a file that is taken out of the cache, or comes back to it, is found
// by a look at the same time.
func TestLookWhileAFileMoves(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	for i := range 20 { // a look takes a while
		cached(t, cache, fmt.Sprintf("library/clean-%d", i), strings.Replace(whole, "true", "false", 1), false)
	}
	cached(t, cache, "library/moves", whole, false)
	looks := make(chan bool)
	go func() {
		for t.Context().Err() == nil {
			found, err := mount.Look(cache)
			select {
			case looks <- err == nil && names(found)["library/moves"]:
			case <-t.Context().Done():
			}
		}
	}()
	for range 200 {
		taken, err := mount.TakeOut(cache)
		must(t, err)
		if !<-looks {
			t.Error("a look does not find the file that is taken out")
		}
		must(t, os.WriteFile(filepath.Join(cache, "vfsMeta", "library/moves"), []byte(whole), 0o600))
		must(t, errors.Join(taken[0].Return(cache), taken[0].Done()))
		if !<-looks {
			t.Error("a look does not find the file that comes back")
		}
	}
}
