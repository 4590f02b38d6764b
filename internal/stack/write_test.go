package stack

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"salvor/internal/machine/local"
	"salvor/internal/project"
)

// TestFoldersAreReadWhateverTheUmask is fault F14: with `umask 077` in root's
// .bashrc the delivered folders were 0700, and a container that is not root could not
// read its configuration.
func TestFoldersAreReadWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	dir := filepath.Join(t.TempDir(), "notes")
	p := project.Project{
		Dir: dir, Compose: []byte("services: {web: {image: nginx}}\n"),
		Files: []project.File{{Path: "conf/deep/er/app.ini", Data: []byte("x"), Mode: 0o640}, {Path: "own/app.ini", Data: []byte("x"), Mode: 0o644}},
	}
	h := New(local.Machine{})
	defer h.Close()
	for range 2 {
		if err := h.writeProject(t.Context(), "notes", p, nil); err != nil {
			t.Fatal(err)
		}
		want := map[string]fs.FileMode{"": 0o755, "conf": 0o755, "conf/deep": 0o755, "conf/deep/er": 0o755, "own": 0o755, "conf/deep/er/app.ini": 0o640, "own/app.ini": 0o644, ComposeFile: 0o644}
		if _, err := os.Stat(filepath.Join(dir, "kept")); err == nil {
			want["own"] = 0o700
		}
		for name, mode := range want {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil || info.Mode().Perm() != mode {
				t.Errorf("%q is %v, %v; want %v", name, info.Mode(), err, mode)
			}
		}
		// what a container's user made of its folder stays
		if err := os.Chmod(filepath.Join(dir, "own"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, "kept"), 0o700); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
}
