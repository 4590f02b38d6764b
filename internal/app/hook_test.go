package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"salvor/internal/check"
	"salvor/internal/finding"
)

// TestS29EveryCloneGetsTheHook: only the clone that ran init had the pre-commit hook.
// One that the operator takes away is not made again, and check says so.
func TestS29EveryCloneGetsTheHook(t *testing.T) {
	from := printedRepo(t, newKey(t).Recipient)
	dir := filepath.Join(t.TempDir(), "second")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "--quiet", from, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hook := filepath.Join(dir, ".git", "hooks", "pre-commit")
	write := func(content string) {
		t.Helper()
		a := openGranting(t, dir)
		if _, err := a.Checkout.Committer(false).Commit(t.Context(), map[string][]byte{"stacks/notes/note": []byte(content)}, "a note"); err != nil {
			t.Fatal(err)
		}
	}
	write("1")
	if info, err := os.Stat(hook); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Fatalf("after the first commit of salvor's in a clone: %v, %v", info, err)
	}
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	write("2")
	if _, err := os.Stat(hook); !os.IsNotExist(err) {
		t.Errorf("a hook that was taken away came back: %v", err)
	}
	found, err := check.Hook(t.Context(), openGranting(t, dir).Checkout.Git)
	if err != nil || len(found) != 1 || found[0].Code != finding.HookMissing {
		t.Errorf("check says %v, %v", found, err)
	}
}
