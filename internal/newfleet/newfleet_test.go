package newfleet

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/hostkey"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretnames"
)

// newFleet says what to make, with a name for Git's commits.
func newFleet(t *testing.T) Fleet {
	t.Helper()
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"} {
		t.Setenv(name, "Olga")
	}
	for _, name := range []string{"GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(name, "olga@example.net")
	}
	base := t.TempDir()
	return Fleet{Dir: filepath.Join(base, "home"), Name: "home", Operator: "ann", Identity: filepath.Join(base, "ann.age")}
}

// TestFounding makes a repository that loads, and keys that open what is in it.
func TestFounding(t *testing.T) {
	f := newFleet(t)
	p, err := Prepare(t.Context(), f)
	if err != nil || p.Question != "" || p.Name != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := os.Stat(f.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("preparing wrote: %v", err)
	}
	made, err := p.Run(t.Context(), nil)
	if err != nil || made.Identity != f.Identity {
		t.Fatalf("%+v, %v", made, err)
	}
	c, err := checkout.Open(t.Context(), f.Dir, checkout.Committed)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if c.Fleet.Name != "home" || c.Fleet.Recipients.Recovery != made.Recovery.Recipient || len(c.Fleet.Recipients.Operators) != 1 || len(c.FleetSigners) != 1 {
		t.Errorf("made %+v", c.Fleet)
	}
	if pinned, err := confirmation.Pinned(c.Git); err != nil || !slices.Equal(pinned, c.FleetSigners) {
		t.Errorf("this clone trusts %v, %v", pinned, err)
	}
	ann, err := agekey.Open(f.Identity, agekey.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{secretnames.SSHKey, secretnames.SignKey} {
		path, err := fleet.SecretFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content, err := c.File(path)
		if err != nil {
			t.Fatal(err)
		}
		for who, ring := range map[string]agekey.Keyring{"ann": ann, "the recovery key": made.Recovery} {
			encrypted, err := sops.Parse(path, content)
			if err == nil {
				_, err = encrypted.Plain(ring)
			}
			if err != nil {
				t.Errorf("%s does not open %s: %v", who, name, err)
			}
		}
	}
	file := func(name string) []byte {
		t.Helper()
		content, err := c.File(name)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	if err := hostkey.Check(fleet.AuthorizedKeysFile, file(fleet.AuthorizedKeysFile), file(hostkey.SignaturePath(fleet.AuthorizedKeysFile)), c.FleetSigners); err != nil {
		t.Errorf("the logins are not signed: %v", err)
	}
	if len(file(agekey.RecoveryPath)) == 0 || len(file(seal.SignaturePath(agekey.RecoveryPath))) == 0 || len(file(sops.ConfigPath)) == 0 {
		t.Error("an empty file")
	}
}

// TestNothingIsOverwritten names what is in the way, and leaves it.
func TestNothingIsOverwritten(t *testing.T) {
	for name, test := range map[string]struct {
		path    func(Fleet) string
		refused string
		hint    string
	}{
		"a control repository": {func(f Fleet) string { return filepath.Join(f.Dir, fleet.File) }, "", "this one is a control repository"},
		"other files":          {func(f Fleet) string { return filepath.Join(f.Dir, "notes.txt") }, "is not empty: it holds notes.txt", "choose an empty folder"},
		"a key":                {func(f Fleet) string { return f.Identity }, "your key ", "salvor init DIR --name OTHER"},
	} {
		f := newFleet(t)
		path := test.path(f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Prepare(t.Context(), f)
		if err == nil || !strings.Contains(err.Error(), test.refused) || !strings.Contains(fault.Hint(err), test.hint) {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != "mine" {
			t.Errorf("%s: %q, %v", name, content, err)
		}
	}
}

// TestManyFilesInTheWay names three of them; the files of a new Git repository are not in
// the way.
func TestManyFilesInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{".gitattributes", "LICENSE"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if others, err := otherFiles(dir); err != nil || len(others) > 0 {
		t.Errorf("%v, %v", others, err)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if others, err := otherFiles(dir); err != nil || !slices.Equal(others, []string{"a", "b", "c", "…"}) {
		t.Errorf("%v, %v", others, err)
	}
}

// TestAFailureLeavesNoKey that would be in the way of the next try.
func TestAFailureLeavesNoKey(t *testing.T) {
	f := newFleet(t)
	f.Dir = filepath.Join(filepath.Dir(f.Identity), "other", "home")
	p, err := Prepare(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(f.Identity), "other"), nil, 0o600); err != nil { // since it was prepared
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err == nil {
		t.Error("a fleet was made below a file")
	}
	if _, err := os.Stat(f.Identity); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its key is left: %v", err)
	}
}

// TestTheHookIsMade in the clone that makes the fleet.
func TestTheHookIsMade(t *testing.T) {
	f := newFleet(t)
	p, err := Prepare(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if hook, err := PreCommit(t.Context(), f.Dir); err != nil || !hook.Calls || hook.Moved {
		t.Errorf("%+v, %v", hook, err)
	}
	if _, err := PreCommit(t.Context(), t.TempDir()); err == nil || errors.Is(err, git.ErrExists) {
		t.Errorf("a folder without a repository: %v", err)
	}
}
