package completion

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree writes files and opens the tree from a folder in it.
func tree(t *testing.T, files map[string]string) Tree {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened, end := Open(filepath.Join(dir, "stacks"))
	t.Cleanup(end)
	return opened
}

// TestNames are those of the working tree, whatever else is wrong with it.
func TestNames(t *testing.T) {
	t.Parallel()
	there := tree(t, map[string]string{
		"fleet.yaml": "fleet: home\nunknown: key\nhosts: {beta: {}, alpha: {address: 192.0.2.1}}\nremotes: {nas: {}}\n" +
			"recipients: {operators: {ann: age1}}\nsecrets: {token: {command: [pass, token]}}\n",
		"stacks/notes/compose.yaml":       "services: {web: {image: nginx}, db: {}}\n",
		"stacks/shop/docker-compose.yml":  "services: [\n",
		"stacks/shared/template.conf":     "",
		"secrets/nas_key":                 "x",
		"secrets/fleet_ssh_key":           "x",
		"secrets/notes.env":               "DB=ENC[x]\nsops_version=3\n",
		"salvor.lock":                     `{"schema":1,"stacks":{"notes":{"host":"alpha","epoch":1,"proven":{"r":{"epoch":1,"seq":3,"id":"3f2a91c0aabbccdd"}}}}}`,
		"stacks/notes/docker-compose.yml": "services: {other: {}}\n",
	})
	for kind, want := range map[Kind][]string{
		Host: {"alpha", "beta"}, Remote: {"nas"}, Operator: {"ann"}, Stack: {"notes", "shop"}, Service: {"db", "web"},
		Secret: {"nas_key", "notes.env", "notes/DB", "token"}, Snapshot: {"3f2a91c0"}, "FINGERPRINT": nil,
	} {
		if diff := cmp.Diff(want, there.Names(kind, []string{"notes"})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	for _, stack := range []string{"shop", "none", "../notes", ""} {
		if got := there.Names(Service, []string{stack}); len(got) > 0 {
			t.Errorf("services of %q: %v", stack, got)
		}
	}
	if len(there.Names(Code, nil)) < 50 {
		t.Error("no codes of findings")
	}
}

// TestNothingIsThere: outside of a fleet, and in a broken one, there are no names, and no
// error.
func TestNothingIsThere(t *testing.T) {
	t.Parallel()
	outside, end := Open(t.TempDir())
	defer end()
	broken := tree(t, map[string]string{"fleet.yaml": "\t\n", "salvor.lock": "{", "stacks/x": ""})
	for _, kind := range []Kind{Host, Remote, Operator, Stack, Service, Secret, Snapshot} {
		if got := append(outside.Names(kind, nil), broken.Names(kind, []string{"x"})...); len(got) > 0 {
			t.Errorf("%s: %v", kind, got)
		}
	}
}
