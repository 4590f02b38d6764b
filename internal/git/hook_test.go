package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheHookFindsItsSalvor: in PATH, or where the one was that wrote the hook.
func TestTheHookFindsItsSalvor(t *testing.T) {
	dir := t.TempDir()
	fake := func(name string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\nd=${0%/*}; echo \"${0##*/} of ${d##*/} $*\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inPath, wrote := fake("path/salvor"), fake("it's here/salvor")
	cases := map[string]struct {
		path, wrote, want string
		fails             bool
	}{
		"in PATH":     {filepath.Dir(inPath) + ":/bin:/usr/bin", wrote, "salvor of path scan --staged\nsalvor of path check --staged\n", false},
		"not in PATH": {"/bin:/usr/bin", wrote, "salvor of it's here scan --staged\nsalvor of it's here check --staged\n", false},
		"nowhere":     {"/bin:/usr/bin", filepath.Join(dir, "gone", "salvor"), "salvor is not in PATH, nor " + filepath.Join(dir, "gone", "salvor") + " there, so this commit cannot be checked (git commit --no-verify skips this)\n", true},
	}
	for name, c := range cases {
		hook := exec.CommandContext(t.Context(), "/bin/sh", "-c", preCommitHook(c.wrote))
		hook.Env = []string{"PATH=" + c.path}
		out, err := hook.CombinedOutput()
		if string(out) != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v; want %q", name, out, err, c.want)
		}
	}
	if !strings.Contains(preCommitHook(wrote), "salvor check") {
		t.Error("the hook does not name salvor check, by which it is recognised")
	}
}
