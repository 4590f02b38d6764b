package confirmation

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestPlaybooksDigest changes with every file of playbooks/, its name and whether it can be run, and with what Ansible can
// read in secrets/; a link is refused.
func TestPlaybooksDigest(t *testing.T) {
	t.Parallel()
	const whole, part = "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "word: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\nplain: "
	base := func() fstest.MapFS {
		return fstest.MapFS{
			"playbooks/before.yml": {Data: []byte("- hosts: all"), Mode: 0o644}, "playbooks/roles/x/tasks/main.yml": {Data: []byte("[]"), Mode: 0o644},
			"secrets/whole.yml": {Data: []byte(whole)}, "secrets/part.yml": {Data: []byte(part + "1\n")}, "secrets/notes.env": {Data: []byte("A=1\n")},
		}
	}
	first, err := playbooksDigest(base())
	if again, againErr := playbooksDigest(base()); err != nil || againErr != nil || first != again {
		t.Fatalf("%s, then %s: %v", first, again, errors.Join(err, againErr))
	}
	for name, change := range map[string]func(fstest.MapFS){
		"content":    func(f fstest.MapFS) { f["playbooks/before.yml"].Data = []byte("- hosts: one") },
		"a new file": func(f fstest.MapFS) { f["playbooks/group_vars/all.yml"] = &fstest.MapFile{} },
		"a name": func(f fstest.MapFS) {
			f["playbooks/after.yml"] = f["playbooks/before.yml"]
			delete(f, "playbooks/before.yml")
		},
		"a program":                        func(f fstest.MapFS) { f["playbooks/before.yml"].Mode = 0o755 },
		"plain text in a file with vaults": func(f fstest.MapFS) { f["secrets/part.yml"].Data = []byte(part + "2\n") },
		"one less":                         func(f fstest.MapFS) { delete(f, "playbooks/roles/x/tasks/main.yml") },
	} {
		folder := base()
		change(folder)
		if got, err := playbooksDigest(folder); err != nil || got == first {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	sealed := base()
	sealed["secrets/whole.yml"].Data, sealed["secrets/notes.env"].Data = []byte("$ANSIBLE_VAULT;1.1;AES256\n6263\n"), []byte("A=2\n")
	if got, err := playbooksDigest(sealed); err != nil || got != first {
		t.Errorf("a secret has another value: %s, %v", got, err)
	}
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/playbooks", 0o700), os.Symlink("/etc/hostname", dir+"/playbooks/before.yml")); err != nil {
		t.Fatal(err)
	}
	if _, err := playbooksDigest(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "playbooks/before.yml is not a plain file") {
		t.Errorf("a link: %v", err)
	}
}
