package command

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/machine/local"
	"salvor/internal/secret"
	"salvor/internal/socketdir"
)

func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// TestPass opens a secret that the real pass keeps, and asks for one whose key is
// not there any more.
func TestPass(t *testing.T) {
	for _, program := range []string{"pass", "gpg"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not installed: scripts/setup installs it")
		}
	}
	home, err := socketdir.Make("gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Setenv("PASSWORD_STORE_DIR", filepath.Join(home, "store"))
	t.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "gpgconf", "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	feed(t, "", "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "test@example.net", "default", "default", "never")
	feed(t, "", "pass", "init", "test@example.net")
	feed(t, canary+"\n", "pass", "insert", "--echo", "home/nas")

	programs := map[string]Program{
		"nas":  {Argv: []string{"pass", "show", "home/nas"}, Timeout: time.Minute},
		"none": {Argv: []string{"pass", "show", "home/none"}, Timeout: time.Minute},
	}
	open := func(name string) (secret.Value, error) {
		return New(programs, Options{Run: local.Machine{Inherit: true}, Allow: allowIn("")}).Open(t.Context(), name)
	}
	if got, err := open("nas"); err != nil || string(got.Reveal()) != canary {
		t.Errorf("pass gave %d bytes, %v", len(got.Reveal()), err)
	}
	if _, err := open("none"); !errors.Is(err, secret.ErrLocked) || !strings.Contains(err.Error(), "home/none is not in the password store") {
		t.Errorf("no entry: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(home, "private-keys-v1.d")); err != nil {
		t.Fatal(err)
	}
	feed(t, "", "gpgconf", "--kill", "gpg-agent")
	if _, err := open("nas"); !errors.Is(err, secret.ErrLocked) || strings.Contains(err.Error(), canary) {
		t.Errorf("no key: %v", err)
	}
}

// feed runs a program with an input.
func feed(t *testing.T, input string, argv ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, said.Bytes())
	}
}
