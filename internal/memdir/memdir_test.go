package memdir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNew(t *testing.T) {
	dir, err := New("", filepath.Join(t.TempDir(), "missing"), "/dev/shm")
	if err != nil {
		t.Fatal(err)
	}
	defer Remove(dir)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC && fs.Type != unix.RAMFS_MAGIC {
		t.Errorf("%s is of type %#x, %v", dir, fs.Type, err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// /sys is never tmpfs and never writable; a folder on a disk is what a test can
// only have where its own temporary folder is on one.
func TestNewRefusesDisks(t *testing.T) {
	disk := t.TempDir()
	if _, err := KindOf(disk); err == nil {
		disk = "/sys"
	}
	if dir, err := New(disk); !errors.Is(err, ErrNone) {
		t.Errorf("= %q, %v, want ErrNone", dir, err)
	}
	left, err := filepath.Glob(filepath.Join(disk, "salvor-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
