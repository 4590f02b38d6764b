package checkout

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Killed commands left the commits that they had exported in the temporary folder.
func TestAbandonedExportsAreRemoved(t *testing.T) {
	tmp := t.TempDir()
	ended := exec.CommandContext(t.Context(), "true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(tmp, exportName+strconv.Itoa(ended.Process.Pid)+"-123")
	used := filepath.Join(tmp, exportName+strconv.Itoa(os.Getpid())+"-123")
	other := filepath.Join(tmp, exportName+"of-somebody")
	older := filepath.Join(tmp, exportName+strconv.Itoa(ended.Process.Pid)) // an older salvor's, which may be in use
	for _, dir := range []string{gone, used, other, older} {
		if err := os.MkdirAll(filepath.Join(dir, "stacks"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := exportFolder(tmp)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{gone: false, used: true, other: true, older: true, dir: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v", path, err == nil)
		}
	}
}
