package sops

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"salvor/internal/secret"
	"salvor/internal/socketdir"
)

// pgpKey makes a PGP key in a home of its own and returns its fingerprint.
func pgpKey(t *testing.T) string {
	t.Helper()
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		unavailable(t, "gpg is not installed")
	}
	home, err := socketdir.Make("gpg")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GNUPGHOME", home)
	t.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(t.Context()), "gpgconf", "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), gpg, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("gpg %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	run("--batch", "--passphrase", "", "--quick-generate-key", "test@example.net", "default", "default", "never")
	for line := range strings.Lines(run("--list-keys", "--with-colons")) {
		if fields := strings.Split(line, ":"); fields[0] == "fpr" {
			return fields[9]
		}
	}
	t.Fatal("gpg made no key")
	return ""
}

func TestAFilesOtherMasterKeysStay(t *testing.T) {
	operator, recovery := mustKey(t), mustKey(t)
	sops := newSopsRun(t, operator)
	fingerprint := pgpKey(t)
	path := "secrets/token"
	sops.put(t, path, []byte("old"))
	sops.gnupg = os.Getenv("GNUPGHOME")
	f := mustParse(t, path, sops.run(t, "encrypt", "--age", operator.Recipient, "--pgp", fingerprint, path))

	recipients := []string{operator.Recipient, recovery.Recipient}
	rekeyed, err := f.Rekey(operator, recipients)
	if err != nil {
		t.Fatal(err)
	}
	replaced, err := mustParse(t, path, rekeyed).Replace(secret.NewString(canary), recipients)
	if err != nil {
		t.Fatal(err)
	}
	after := mustParse(t, path, replaced)
	if keys := after.OtherKeys(); len(keys) != 1 || keys[0] != "pgp "+fingerprint || !after.Fits(recipients) {
		t.Errorf("other keys %v, recipients %v", keys, after.Recipients())
	}
	wantPlain(t, after, recovery, canary)
	sops.keyFile = os.DevNull
	if got := sops.run(t, "decrypt", sops.put(t, path, replaced)); string(got) != canary {
		t.Errorf("with the PGP key alone sops reads %q", got)
	}
}
