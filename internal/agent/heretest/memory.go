package heretest

import (
	"os"
	"testing"
)

// Memory returns a new folder in memory, for secrets, where files can be given to other users.
// A user who is not root, or a system without /dev/shm, skips the test; it fails where labs are
// required, as in CI.
func Memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "salvor-test-")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	}
	if err == nil && os.Geteuid() == 0 {
		return dir
	}
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal("a folder in memory and root are required", err)
	}
	t.Skip("needs a folder in memory, and root to give files away")
	return ""
}
