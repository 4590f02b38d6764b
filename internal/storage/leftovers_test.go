package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/storage"
)

// TestHungUploadsAreCollected is one of the smaller faults of issue 10: the .part
// files of uploads that hung stayed on the remote for ever.
func TestHungUploadsAreCollected(t *testing.T) {
	dir := t.TempDir()
	store, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: dir})
	if err != nil {
		t.Fatal(err)
	}
	part := func(letter string) string {
		return filepath.Join(dir, "data", ".salvor-"+strings.Repeat(letter, 26)+".part")
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	for letter, age := range map[string]time.Duration{"A": 25 * time.Hour, "B": 23 * time.Hour, "C": -48 * time.Hour} {
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(part(letter), []byte("half"), 0o600), os.Chtimes(part(letter), at, at)); err != nil {
			t.Fatal(err)
		}
	}
	found, err := store.List(t.Context(), "")
	if err != nil || len(found) > 0 {
		t.Fatalf("lists %v, %v", found, err)
	}
	if _, err := os.Stat(part("A")); err != nil {
		t.Errorf("a listing, which may be all that its reader is allowed, removed something: %v", err)
	}
	if _, err := store.Put(t.Context(), "data/whole", strings.NewReader("whole"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(part("A")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what hung for a day is still there: %v", err)
	}
	for _, letter := range []string{"B", "C"} {
		if _, err := os.Stat(part(letter)); err != nil {
			t.Errorf("one that may be under way was removed: %v", err)
		}
	}
}
