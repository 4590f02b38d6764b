package confirmation

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestPlaybooksDigest changes with every file, its name and whether it can be run; a link is
// refused.
func TestPlaybooksDigest(t *testing.T) {
	t.Parallel()
	base := func() fstest.MapFS {
		return fstest.MapFS{"before.yml": {Data: []byte("- hosts: all"), Mode: 0o644}, "roles/x/tasks/main.yml": {Data: []byte("[]"), Mode: 0o644}}
	}
	first, err := playbooksDigest(base())
	if again, againErr := playbooksDigest(base()); err != nil || againErr != nil || first != again {
		t.Fatalf("%s, then %s: %v", first, again, errors.Join(err, againErr))
	}
	for name, change := range map[string]func(fstest.MapFS){
		"content":    func(f fstest.MapFS) { f["before.yml"].Data = []byte("- hosts: one") },
		"a new file": func(f fstest.MapFS) { f["group_vars/all.yml"] = &fstest.MapFile{} },
		"a name":     func(f fstest.MapFS) { f["after.yml"] = f["before.yml"]; delete(f, "before.yml") },
		"a program":  func(f fstest.MapFS) { f["before.yml"].Mode = 0o755 },
		"one less":   func(f fstest.MapFS) { delete(f, "roles/x/tasks/main.yml") },
	} {
		folder := base()
		change(folder)
		if got, err := playbooksDigest(folder); err != nil || got == first {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", dir+"/before.yml"); err != nil {
		t.Fatal(err)
	}
	if _, err := playbooksDigest(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "playbooks/before.yml is not a plain file") {
		t.Errorf("a link: %v", err)
	}
}
