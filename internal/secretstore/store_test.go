package secretstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
)

const canary = "hunter2-canary"

var _ secret.Resolver = (*Store)(nil)

// countingRing counts how often the operator would be asked.
type countingRing struct {
	agekey.Key
	asked int
}

func (c *countingRing) Identities() ([]age.Identity, error) {
	c.asked++
	return c.Key.Identities()
}

func mustKey(t testing.TB) agekey.Key {
	t.Helper()
	k, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newStore returns a store over files in memory, the files and the operator.
func newStore(t *testing.T) (*Store, fstest.MapFS, *countingRing) {
	t.Helper()
	files := fstest.MapFS{}
	ring := &countingRing{Key: mustKey(t)}
	recipients := []string{ring.Recipient, mustKey(t).Recipient}
	return New(Options{Files: files, Keys: ring, Recipients: recipients}), files, ring
}

// commit puts changes into the files.
func commit(t *testing.T, files fstest.MapFS) func(Changes, error) {
	return func(c Changes, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for path, data := range c {
			if strings.Contains(string(data), canary) {
				t.Errorf("%s: holds the secret in clear", path)
			}
			files[path] = &fstest.MapFile{Data: data}
		}
	}
}

func TestSetAndResolve(t *testing.T) {
	s, files, ring := newStore(t)
	for _, value := range []string{"first-" + canary, canary} {
		commit(t, files)(s.Writer().Set(t.Context(), "drive_oauth", secret.NewString(value)))
	}
	if ring.asked != 0 {
		t.Errorf("Set asked for the key %d times", ring.asked)
	}
	got, err := secret.ParseSetting("secret:drive_oauth").Resolve(t.Context(), s)
	if err != nil || string(got.Reveal()) != canary {
		t.Errorf("Resolve: %q, %v", got.Reveal(), err)
	}
	file, err := s.File(t.Context(), "secrets/drive_oauth")
	if err != nil || string(file.Reveal()) != canary {
		t.Errorf("File: %q, %v", file.Reveal(), err)
	}
	if _, err := s.Resolve(t.Context(), "none"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("%v, want secret.ErrNotFound", err)
	}
	other := New(Options{Files: files, Keys: mustKey(t)})
	if _, err := other.Resolve(t.Context(), "drive_oauth"); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("%v, want secret.ErrLocked", err)
	}
}

func TestEnv(t *testing.T) {
	s, files, ring := newStore(t)
	if env, err := s.Env(t.Context(), "notes"); err != nil || len(env) != 0 {
		t.Errorf("nothing of a stack without a file: %v, %v", env, err)
	}
	if _, err := s.Env(t.Context(), "notes", "A"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("something of a stack without a file: %v", err)
	}
	commit(t, files)(s.Writer().Set(t.Context(), "notes/DB_PASSWORD", secret.NewString(canary)))
	commit(t, files)(s.Writer().Set(t.Context(), "notes/TOKEN", secret.NewString("t")))
	env, err := s.Env(t.Context(), "notes", "DB_PASSWORD", "TOKEN")
	if err != nil || string(env["DB_PASSWORD"].Reveal()) != canary || string(env["TOKEN"].Reveal()) != "t" || len(env) != 2 {
		t.Errorf("Env: %d values, %v", len(env), err)
	}
	asked := ring.asked
	names, err := s.EnvNames("notes")
	if diff := cmp.Diff([]string{"DB_PASSWORD", "TOKEN"}, names); err != nil || diff != "" || ring.asked != asked {
		t.Errorf("EnvNames: %v %s", err, diff)
	}
}

func TestListNeedsNoKey(t *testing.T) {
	s, files, ring := newStore(t)
	files["secrets/.gitkeep"] = &fstest.MapFile{}
	files["fleet.yaml"] = &fstest.MapFile{Data: []byte("fleet: home")}
	commit(t, files)(s.Writer().Set(t.Context(), "token", secret.NewString(canary)))
	commit(t, files)(s.Writer().Set(t.Context(), "notes/A", secret.NewString(canary)))
	nested, err := sops.Encrypt("secrets/tls/key.pem", secret.NewString(canary), s.opts.Recipients[:1])
	commit(t, files)(Changes{"secrets/tls/key.pem": nested}, err)

	infos, err := s.List()
	if err != nil || ring.asked != 0 {
		t.Errorf("%v, asked %d times", err, ring.asked)
	}
	type row struct {
		Name, File, Stack string
		Recipients        int
		Fits              bool
	}
	var got []row
	for _, i := range infos {
		got = append(got, row{i.Name, i.File, i.Stack, len(i.Recipients), i.Fits})
	}
	want := []row{
		{"notes/A", "secrets/notes.env", "notes", 2, true},
		{"tls/key.pem", "secrets/tls/key.pem", "", 1, false},
		{"token", "secrets/token", "", 2, true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	files["secrets/plain"] = &fstest.MapFile{Data: []byte(canary)}
	infos, err = s.List()
	if !errors.Is(err, sops.ErrPlain) || !strings.Contains(err.Error(), "secrets/plain") || strings.Contains(err.Error(), canary) || len(infos) != 3 {
		t.Errorf("a plain file: %v, %d secrets", err, len(infos))
	}
	if _, err := s.Writer().Set(t.Context(), "plain", secret.NewString("x")); !errors.Is(err, sops.ErrPlain) {
		t.Errorf("a plain file was replaced: %v", err)
	}
}

func TestReencryptChangesOnlyWhatDiffers(t *testing.T) {
	s, files, ring := newStore(t)
	commit(t, files)(s.Writer().Set(t.Context(), "token", secret.NewString(canary)))
	commit(t, files)(s.Writer().Set(t.Context(), "notes/A", secret.NewString(canary)))
	if changes, err := s.Writer().Reencrypt(); err != nil || len(changes) != 0 || ring.asked != 0 {
		t.Errorf("nothing to do: %v, %v, asked %d times", changes.Paths(), err, ring.asked)
	}
	added := mustKey(t)
	s.opts.Recipients = append(s.opts.Recipients, added.Recipient)
	changes, err := s.Writer().Reencrypt()
	if diff := cmp.Diff([]string{"secrets/notes.env", "secrets/token"}, changes.Paths()); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	commit(t, files)(changes, nil)
	v, err := New(Options{Files: files, Keys: added}).Resolve(t.Context(), "token")
	if err != nil || string(v.Reveal()) != canary {
		t.Errorf("the new recipient reads %q, %v", v.Reveal(), err)
	}
}

func TestNames(t *testing.T) {
	s, _, _ := newStore(t)
	for _, name := range []string{"", "a/b-c", "A/B", "../fleet.yaml", ".hidden", "notes.env", "a b"} {
		if _, err := s.Writer().Set(t.Context(), name, secret.NewString(canary)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, path := range []string{"secrets/../fleet.yaml", "fleet.yaml", "/secrets/a", "secrets/"} {
		if _, err := s.File(t.Context(), path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestWriteToAndReadFromAWorkTree(t *testing.T) {
	key := mustKey(t)
	root := t.TempDir()
	s := New(Options{Files: os.DirFS(root), Keys: key, Recipients: []string{key.Recipient}})
	changes, err := s.Writer().Set(t.Context(), "token", secret.NewString(canary))
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.WriteTo(root); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Resolve(t.Context(), "token"); err != nil || string(v.Reveal()) != canary {
		t.Errorf("%q, %v", v.Reveal(), err)
	}
	if _, err := os.Stat(filepath.Join(root, "secrets", "token")); err != nil {
		t.Error(err)
	}
}
