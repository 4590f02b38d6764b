package git

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func exported(t *testing.T, export func(dir string) ([]LeftOut, error)) (files []string, left []LeftOut, dir string) {
	t.Helper()
	dir = t.TempDir()
	left, err := export(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(dir), "stacks", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(p, "stacks/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files, left, dir
}

// TestCheckSeesWhatGitWouldHave is issue 10, C.11, case 07 at its root: check read
// ignored files, the hook read files that were not staged.
func TestCheckSeesWhatGitWouldHave(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, ".gitignore", ".env\n*.key\n")
	write(t, dir, "stacks/a/tracked", "one\n")
	write(t, dir, "stacks/a/gone", "x\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--no-verify", "-m", "x")
	write(t, dir, "stacks/a/tracked", "two\n")
	write(t, dir, "stacks/a/staged", "x\n")
	git(t, dir, "add", "stacks/a/tracked", "stacks/a/staged")
	write(t, dir, "stacks/a/tracked", "three\n")
	write(t, dir, "stacks/a/new", "x\n")
	write(t, dir, "stacks/a/.env", "x\n")
	write(t, dir, "stacks/a/site.key", "x\n")
	if err := os.Remove(filepath.Join(dir, "stacks/a/gone")); err != nil {
		t.Fatal(err)
	}
	before, _, _ := exported(t, func(to string) ([]LeftOut, error) {
		head, _ := g.Head(t.Context())
		return g.Export(t.Context(), head, to)
	})
	work, _, at := exported(t, func(to string) ([]LeftOut, error) { return g.ExportWork(t.Context(), to) })
	hello := slices.DeleteFunc(before, func(p string) bool { return strings.HasPrefix(p, "a/") })
	if diff := cmp.Diff(append([]string{"a/new", "a/staged", "a/tracked"}, hello...), work); diff != "" {
		t.Errorf("working tree (-want +got)\n%s", diff)
	}
	if got := read(t, at, "stacks/a/tracked"); got != "three\n" {
		t.Errorf("working tree: %q", got)
	}
	staged, _, at := exported(t, func(to string) ([]LeftOut, error) { return g.ExportStaged(t.Context(), to) })
	if diff := cmp.Diff(append([]string{"a/gone", "a/staged", "a/tracked"}, hello...), staged); diff != "" {
		t.Errorf("index (-want +got)\n%s", diff)
	}
	if got := read(t, at, "stacks/a/tracked"); got != "two\n" {
		t.Errorf("index: %q", got)
	}
}

// TestHookSeesTheCommitUnderWay: `git commit -a` has an index of its own, which the
// hook must look at; one of another repository is not ours.
func TestHookSeesTheCommitUnderWay(t *testing.T) {
	_, dir := newRepo(t)
	write(t, dir, "stacks/a/tracked", "one\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--no-verify", "-m", "x")
	own, err := os.ReadFile(filepath.Join(dir, ".git/index"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "stacks/a/tracked", "two\n")
	git(t, dir, "add", "-A")
	other, err := os.ReadFile(filepath.Join(dir, ".git/index"))
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{".git/index": own, ".git/next-index-1.lock": other} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for index, want := range map[string]string{".git/next-index-1.lock": "two\n", "/nonexistent": "one\n"} {
		g, err := Open(t.Context(), here{}, dir, append(environ(), "GIT_INDEX_FILE="+index))
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		if _, err := g.ExportStaged(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		if got := read(t, out, "stacks/a/tracked"); got != want {
			t.Errorf("%s: %q, want %q", index, got, want)
		}
		paths, err := g.StagedFiles(t.Context())
		if err != nil || (len(paths) == 1) != (want == "two\n") {
			t.Errorf("%s: staged %v, %v", index, paths, err)
		}
		if len(paths) == 1 {
			if objects, err := g.Staged(t.Context(), paths); err != nil || string(objects[0].Content) != want {
				t.Errorf("%s: staged %q, %v", index, objects, err)
			}
		}
	}
}

// TestSubmodulesAreLeftOut is fault F7: check and the hook passed what plan refused.
func TestSubmodulesAreLeftOut(t *testing.T) {
	g, dir := newRepo(t)
	lib, _ := filepath.Abs(filepath.Join(dir, "stacks/n/lib"))
	if err := os.MkdirAll(lib, 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, lib, "init", "-q")
	write(t, lib, "file", "x")
	git(t, lib, "add", "-A")
	git(t, lib, "commit", "-q", "--no-verify", "-m", "x")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "--no-verify", "-m", "x")
	head, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, export := range map[string]func(string) ([]LeftOut, error){
		"commit": func(to string) ([]LeftOut, error) { return g.Export(t.Context(), head, to) },
		"index":  func(to string) ([]LeftOut, error) { return g.ExportStaged(t.Context(), to) },
		"tree":   func(to string) ([]LeftOut, error) { return g.ExportWork(t.Context(), to) },
	} {
		_, left, _ := exported(t, export)
		if len(left) != 1 || left[0].Path != "stacks/n/lib" || left[0].Fix == "" {
			t.Errorf("%s: left out %+v", name, left)
		}
	}
}

func TestFiltered(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, "stacks/a/.gitattributes", "*.bin filter=lfs\n")
	got, err := g.Filtered(t.Context(), []string{"stacks/a/x.bin", "stacks/a/x.txt"})
	if err != nil || !slices.Equal(got, []string{"stacks/a/x.bin"}) {
		t.Errorf("%v, %v", got, err)
	}
}
