package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// typist runs salvor as who has no terminal does, with a home and a Git identity of
// its own.
type typist struct {
	*testing.T
	dir string
}

func newTypist(t *testing.T) typist {
	t.Helper()
	k := typist{t, t.TempDir()}
	t.Setenv("HOME", k.dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(k.dir, "config"))
	k.write(".gitconfig", "[user]\n\tname = Ann\n\temail = ann@example.net\n")
	k.write("pass", "correct horse battery staple\n")
	k.write("empty", "")
	return k
}

func (k typist) write(name, content string) {
	k.Helper()
	if err := os.WriteFile(filepath.Join(k.dir, name), []byte(content), 0o600); err != nil {
		k.Fatal(err)
	}
}

// run returns what was printed when standard output was a pipe.
func (k typist) run(args ...string) (code int, out, errs string) {
	k.Helper()
	var stdout bytes.Buffer
	code, errs = k.into(&stdout, args...)
	return code, stdout.String(), errs
}

func (k typist) into(out io.Writer, args ...string) (code int, errs string) {
	k.Helper()
	var stderr bytes.Buffer
	code = Main(k.Context(), append([]string{"--passphrase-file", filepath.Join(k.dir, "pass")}, args...), Console{In: os.Stdin, Out: out, Err: &stderr, NoColor: true, Work: 2})
	return code, stderr.String()
}

const secretKey = "AGE-SECRET-KEY-1"

func TestS20ACardIsForItsOwnerAlone(t *testing.T) {
	k := newTypist(t)
	fleet, card := filepath.Join(k.dir, "fleet"), filepath.Join(k.dir, "card")
	if code, _, errs := k.run("init", fleet); code != 0 {
		t.Fatal(errs)
	}
	for _, args := range [][]string{{"key", "card"}, {"key", "card", "--html"}, {"key", "recovery"}} {
		loose := filepath.Join(k.dir, "loose")
		f, err := os.OpenFile(loose, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err == nil {
			err = f.Chmod(0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		code, errs := k.into(f, append([]string{"-C", fleet}, args...)...)
		content, err := os.ReadFile(loose)
		if code == 0 || err != nil || len(content) > 0 || !strings.Contains(errs, "--out FILE") {
			t.Errorf("%v into a file that others may read: %d, %d bytes, %s", args, code, len(content), errs)
		}
	}
	k.write("card", "an older one")
	if err := os.Chmod(card, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--html"}} {
		code, _, errs := k.run(append([]string{"-C", fleet, "key", "card", "--out", card}, args...)...)
		info, err := os.Stat(card)
		if code != 0 || err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v: %d %s; mode %v", args, code, errs, info.Mode())
		}
	}
	if err := os.Chmod(card, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, out, _ := k.run("-C", fleet, "--identity", card, "check"); !strings.Contains(out, "[identity-exposed]") {
		t.Errorf("a card that others may read: %s", out)
	}
}

func TestS21AKeyIsInClearOnPurposeOnly(t *testing.T) {
	k := newTypist(t)
	fleet := filepath.Join(k.dir, "fleet")
	if code, _, errs := k.run("--passphrase-file", filepath.Join(k.dir, "empty"), "init", fleet); code == 0 || !strings.Contains(errs, "--no-passphrase") {
		t.Errorf("an empty file: %d %s", code, errs)
	}
	if code, _, errs := k.run("--passphrase-file", "", "init", fleet, "--no-passphrase"); code != 0 || !strings.Contains(errs, "unencrypted") {
		t.Fatalf("on purpose: %d %s", code, errs)
	}
	if _, out, _ := k.run("-C", fleet, "check"); !strings.Contains(out, "[identity-unprotected]") {
		t.Errorf("a key in clear: %s", out)
	}
	k.write("pass", "x\n")
	if code, _, errs := k.run("-C", fleet, "--identity", filepath.Join(k.dir, "weak.age"), "key", "new"); code != 0 || !strings.Contains(errs, "could guess") {
		t.Errorf("a passphrase of one character: %d %s", code, errs)
	}
}

func TestS27InitPrintsNoKeyIntoALog(t *testing.T) {
	k := newTypist(t)
	for _, args := range [][]string{{"init", filepath.Join(k.dir, "a")}, {"--json", "init", filepath.Join(k.dir, "b")}} {
		if code, out, errs := k.run(args...); code != 0 || strings.Contains(out+errs, secretKey) || !strings.Contains(out+errs, "identity") && !strings.Contains(errs, "salvor key recovery") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, out, errs := k.run("init", filepath.Join(k.dir, "c"), "--show-recovery"); code != 0 || !strings.Contains(out, secretKey) {
		t.Errorf("asked for: %d %s", code, errs)
	}
}
