package git

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestStagedFilesAreForTheNextCommit: also those that an ignore rule names; what is
// staged already stays.
func TestStagedFilesAreForTheNextCommit(t *testing.T) {
	t.Parallel()
	g, dir := newRepo(t)
	write(t, dir, ".gitignore", "*.env\n")
	write(t, dir, "mine", "staged by the operator")
	write(t, dir, "plain.env", "goes")
	if err := os.Chmod(filepath.Join(dir, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := g.output(t.Context(), "add", "-f", "mine", "plain.env"); err != nil {
		t.Fatal(err)
	}
	head, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"stacks/a/stack.env": []byte("A=1\n"), "mine": []byte("again"), "plain.env": nil, "gone": nil}
	seen := map[string][]byte{"mine": []byte("staged by the operator"), "plain.env": []byte("goes")}
	for range 2 { // the second finds everything as it is to be
		if err := g.StageFiles(t.Context(), files, seen); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{".gitignore": " M", "mine": "A ", "stacks/a/stack.env": "A "}, status(t, g)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "plain.env")); !errors.Is(err, fs.ErrNotExist) || read(t, dir, "mine") != "again" {
		t.Errorf("not written: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "mine")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("its mode changed: %v, %v", info.Mode(), err)
	}
	if now, err := g.Head(t.Context()); err != nil || now != head {
		t.Errorf("something was committed: %v", err)
	}
}

// TestStagingLosesNothing that was written since the caller looked.
func TestStagingLosesNothing(t *testing.T) {
	t.Parallel()
	g, dir := newRepo(t)
	write(t, dir, "a", "later")
	write(t, dir, "link/x", "1")
	if err := os.Symlink("link", filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string][]byte{
		"changed":     {"a": []byte("new"), "b": []byte("new")},
		"removed":     {"a": nil, "b": []byte("new")},
		"was not":     {"c/d": []byte("new"), "a": []byte("x")},
		"by a link":   {"other/y": []byte("new"), "b": []byte("new")},
		"no such way": {"../out": []byte("new")},
	} {
		err := g.StageFiles(t.Context(), files, map[string][]byte{"a": []byte("earlier")})
		if err == nil || files["a"] != nil && !errors.Is(err, ErrUncommitted) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) || read(t, dir, "a") != "later" {
			t.Errorf("%s: something was written: %v", name, err)
		}
	}
}
