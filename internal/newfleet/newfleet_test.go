package newfleet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/hostkey"
	"salvor/internal/machine/local"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/secretnames"
	"salvor/internal/sign"
)

func options(t *testing.T) Options {
	t.Helper()
	for _, of := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+of+"_NAME", "Ann")
		t.Setenv("GIT_"+of+"_EMAIL", "ann@example.net")
	}
	return Options{Dir: filepath.Join(t.TempDir(), "fleet"), Name: "home", Operator: "ann", Identity: filepath.Join(t.TempDir(), "ann.age")}
}

func read(t *testing.T, o Options, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(o.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestAFleetBeginsWithItsKeys, each of which the operator opens, and which this clone trusts.
func TestAFleetBeginsWithItsKeys(t *testing.T) {
	o := options(t)
	recovery, keyFile, err := Make(t.Context(), o)
	if err != nil || keyFile != o.Identity {
		t.Fatalf("%s, %v", keyFile, err)
	}
	clone, err := git.Open(t.Context(), local.Machine{}, o.Dir, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	declared, err := sign.ParseSigners(read(t, o, fleet.FleetSignersFile))
	if err != nil || len(declared) != 1 {
		t.Fatalf("signers %q, %v", declared, err)
	}
	if pinned, err := confirmation.Pinned(t.Context(), clone); err != nil || !slices.Equal(pinned, declared) {
		t.Errorf("the clone trusts %q, the fleet has %q: %v", pinned, declared, err)
	}
	logins := read(t, o, fleet.AuthorizedKeysFile)
	if err := hostkey.Check(fleet.AuthorizedKeysFile, logins, read(t, o, hostkey.SignaturePath(fleet.AuthorizedKeysFile)), declared); err != nil {
		t.Errorf("the logins: %v", err)
	}
	ring, err := agekey.Open(o.Identity, agekey.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sealed := seal.Signed{File: read(t, o, agekey.RecoveryPath), Signature: read(t, o, seal.SignaturePath(agekey.RecoveryPath))}
	if key, err := sealed.OpenKey(declared, ring, recovery.Recipient); err != nil || key.Recipient != recovery.Recipient {
		t.Errorf("the recovery key opens as %s, %v", key.Recipient, err)
	}
	for _, name := range []string{secretnames.SignKey, secretnames.SSHKey} {
		if content := string(read(t, o, "secrets/"+name)); strings.Contains(content, "PRIVATE KEY") || !strings.Contains(content, recovery.Recipient) {
			t.Errorf("%s is kept as %.80s", name, content)
		}
	}
}

// TestNothingIsOverwritten: what is in the way is named, and nothing is left behind.
func TestNothingIsOverwritten(t *testing.T) {
	for name, inTheWay := range map[string]func(Options) string{
		"a fleet":      func(o Options) string { return filepath.Join(o.Dir, fleet.File) },
		"other files":  func(o Options) string { return filepath.Join(o.Dir, "notes.txt") },
		"the identity": func(o Options) string { return o.Identity },
	} {
		o := options(t)
		path := inTheWay(o)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("mine"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Make(t.Context(), o); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != "mine" {
			t.Errorf("%s is %q, %v", name, content, err)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, ".git")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a repository was begun: %v", name, err)
		}
	}
}
