package git

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/socketdir"
)

// TestS06GnuPGSignsCommits is finding S6 for GnuPG: being in the operator's keyring is
// not being listed. (For SSH keys: signed-commits among the scripts of cmd/salvor.)
func TestS06GnuPGSignsCommits(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil && os.Getenv("SALVOR_LAB") != "require" {
		t.Skip("gpg is not installed")
	}
	g, dir := newRepo(t)
	home, err := socketdir.Make("gnupg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	g.env = append(g.env, "GNUPGHOME="+home, "PATH="+os.Getenv("PATH"))
	printed, fingerprint := regexp.MustCompile(`^[0-9A-F]{40}$`), map[string]string{}
	for _, who := range []string{"ann", "eve"} {
		gpg := exec.CommandContext(t.Context(), "gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--status-fd", "1", "--quick-generate-key", who, "ed25519", "sign", "never")
		out, err := gpg.Output()
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(out)) {
			if printed.MatchString(field) {
				fingerprint[who] = field
			}
		}
	}
	for who, want := range map[string]error{"ann": nil, "eve": ErrUnsigned} {
		if _, err := g.output(t.Context(), "commit", "--quiet", "--no-verify", "--allow-empty", "--message", who, "--gpg-sign="+fingerprint[who]); err != nil {
			t.Fatal(err)
		}
		id, err := g.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Signed(t.Context(), id, fleet.Signers{GPG: []string{fingerprint["ann"]}}); !errors.Is(err, want) {
			t.Errorf("signed by %s in %s: %v, want %v", who, dir, err, want)
		}
	}
}
