package ansiblevault

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/secret"
)

// A vector was made by ansible-core 2.14.
type vector struct {
	Name     string `json:"name"`
	Plain    string `json:"plain"`
	Vault    string `json:"vault"`
	Password string `json:"password_file"`
	ID       string `json:"vault_id"`
}

func vectors(t testing.TB) []vector {
	t.Helper()
	var all []vector
	if err := json.Unmarshal(read(t, "manifest.json"), &all); err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	return all
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			e, err := Parse(read(t, v.Vault))
			if err != nil {
				t.Fatal(err)
			}
			if want := v.ID; want != e.ID && (want != "" || e.ID != DefaultID) {
				t.Errorf("vault id %q, want %q", e.ID, want)
			}
			plain, err := e.Open(secret.New(read(t, v.Password)))
			if err != nil || !bytes.Equal(plain.Reveal(), read(t, v.Plain)) {
				t.Errorf("opened to %d bytes, %v", len(plain.Reveal()), err)
			}
			if _, err := e.Open(secret.New([]byte("another"))); !errors.Is(err, secret.ErrLocked) {
				t.Errorf("with another password: %v", err)
			}
			if again := e.Encode(); !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(read(t, v.Vault))) {
				t.Error("it encodes differently")
			}
		})
	}
}

func TestSealedOpens(t *testing.T) {
	password := secret.New([]byte("of the vault\n"))
	for _, plain := range []string{"", "x", strings.Repeat("y", 16), "line\nline\n", string(make([]byte, 1000))} {
		sealed, err := Seal(secret.New([]byte(plain)), password, "prod")
		if err != nil {
			t.Fatal(err)
		}
		e, err := Parse(sealed)
		if err != nil || e.ID != "prod" {
			t.Fatalf("%+v, %v", e.ID, err)
		}
		if got, err := e.Open(secret.New([]byte(" of the vault"))); err != nil || string(got.Reveal()) != plain {
			t.Errorf("%q came back as %q, %v", plain, got.Reveal(), err)
		}
	}
	if _, err := Seal(secret.New(nil), password, "a;b"); err == nil {
		t.Error("an id that ends the header was taken")
	}
	if _, err := Seal(secret.New(nil), secret.New([]byte(" \n")), ""); err == nil {
		t.Error("an empty password was taken")
	}
}

// TestAnsibleReadsOurs hands what we write to the real program, and reads back
// what it writes.
func TestAnsibleReadsOurs(t *testing.T) {
	a := newAnsible(t)
	a.write(t, "password", []byte("3f0c7d5e9a1b48c2\n"))
	password, plain := secret.NewString("3f0c7d5e9a1b48c2"), []byte("binary \x00\xff and text\n")
	a.write(t, "plain", plain)
	for _, id := range []string{DefaultID, "prod"} {
		ours, err := Seal(secret.New(plain), password, id)
		if err != nil {
			t.Fatal(err)
		}
		a.write(t, "ours", ours)
		if got := a.run(t, id, "decrypt", "ours"); !bytes.Equal(got, plain) {
			t.Errorf("id %s: ansible-vault read %q", id, got)
		}
		e, err := Parse(a.run(t, id, "encrypt", "plain", "--encrypt-vault-id", id))
		if err != nil || e.ID != id {
			t.Fatalf("id %q, %v", e.ID, err)
		}
		if got, err := e.Open(password); err != nil || !bytes.Equal(got.Reveal(), plain) {
			t.Errorf("id %s: theirs opened to %q, %v", id, got.Reveal(), err)
		}
	}
}

// ansible runs ansible-vault in a folder of its own.
type ansible struct{ dir, program string }

func newAnsible(t *testing.T) *ansible {
	t.Helper()
	program, err := exec.LookPath("ansible-vault")
	if err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("no ansible-vault here: scripts/setup installs it")
	}
	return &ansible{dir: t.TempDir(), program: program}
}

func (a *ansible) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(a.dir, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run returns what a verb makes of a file.
func (a *ansible) run(t *testing.T, id, verb, name string, more ...string) []byte {
	t.Helper()
	out := filepath.Join(a.dir, "out")
	args := append([]string{verb, "--vault-id", id + "@" + filepath.Join(a.dir, "password"), "--output", out}, more...)
	cmd := exec.CommandContext(t.Context(), a.program, append(args, filepath.Join(a.dir, name))...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "ANSIBLE_HOME="+a.dir)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ansible-vault %s: %v\n%s", verb, err, said)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestDamage(t *testing.T) {
	good := string(read(t, "vault/02-ascii.vault"))
	password := secret.New([]byte("correct horse battery staple"))
	for name, bad := range map[string]string{
		"empty":              "",
		"no header":          good[1:],
		"older format":       strings.Replace(good, "1.1;AES256", "1.0;AES", 1),
		"newer format":       strings.Replace(good, "1.1", "1.3", 1),
		"1.2 without an id":  strings.Replace(good, "1.1", "1.2", 1),
		"header alone":       strings.SplitN(good, "\n", 2)[0],
		"cut short":          good[:len(good)/2],
		"cut by a digit":     strings.TrimSpace(good)[:len(strings.TrimSpace(good))-1],
		"a letter too many":  strings.Replace(good, "3", "g", 1),
		"another body digit": good[:60] + "7" + good[61:],
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Parse([]byte(bad))
			if err == nil {
				_, err = e.Open(password)
			}
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrPassword) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(read(f, v.Vault))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		e, err := Parse(content)
		if err != nil {
			return
		}
		again, err := Parse(e.Encode())
		if err != nil || !bytes.Equal(again.ciphertext, e.ciphertext) || !bytes.Equal(again.salt, e.salt) || again.ID != e.ID {
			t.Fatalf("it does not survive being written: %v", err)
		}
	})
}
