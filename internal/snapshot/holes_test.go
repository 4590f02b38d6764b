package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/repository"
)

// TestS24HolesAreDugInTheVolumeAlone: a snapshot whose folder is a link leads no
// digging to another file of the host.
func TestS24HolesAreDugInTheVolumeAlone(t *testing.T) {
	t.Parallel()
	outside, volume := t.TempDir(), t.TempDir()
	for _, dir := range []string{outside, volume} {
		if err := os.WriteFile(filepath.Join(dir, "zeros"), make([]byte, 4*hole), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(os.Symlink(outside, filepath.Join(volume, "dir")), os.Symlink(filepath.Join(outside, "zeros"), filepath.Join(volume, "link")))
	if err != nil {
		t.Fatal(err)
	}
	for _, rel := range []string{"dir/zeros", "link", "../" + filepath.Base(outside) + "/zeros"} {
		_ = target{path: volume, node: repository.Node{Type: "dir"}, volume: VolumeMeta{Sparse: []string{rel}}}.digHoles() // refused or skipped
		if blocks(t, filepath.Join(outside, "zeros")) == 0 {
			t.Fatalf("%s: a file outside of the volume has holes", rel)
		}
	}
	before := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(volume, "zeros"), before, before); err != nil {
		t.Fatal(err)
	}
	for _, tg := range []target{
		{path: volume, node: repository.Node{Type: "dir"}, volume: VolumeMeta{Sparse: []string{"zeros"}}},
		{path: filepath.Join(volume, "zeros"), node: repository.Node{Type: "file"}, volume: VolumeMeta{Sparse: []string{"."}}},
	} {
		if err := tg.digHoles(); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(filepath.Join(volume, "zeros"))
	if err != nil || !info.ModTime().Equal(before) || blocks(t, filepath.Join(volume, "zeros")) != 0 {
		t.Errorf("%v, %v, %d blocks", info, err, blocks(t, filepath.Join(volume, "zeros")))
	}
}

func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks
}
