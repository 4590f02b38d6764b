package app

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

func mustSigner(t testing.TB) sign.Key {
	t.Helper()
	private, err := sign.NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	k, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keyed) openAsking(trust func(question string) error) *App {
	k.t.Helper()
	o := k.options(k.ann)
	o.Trust = trust
	return openWith(k.t, o)
}

func (k *keyed) trusted() sign.Keys {
	k.t.Helper()
	keys, err := k.open(k.ann).Confirmed.Trusted()
	if err != nil {
		k.t.Fatal(err)
	}
	return keys
}

func TestInitMakesASigningKey(t *testing.T) {
	k := newKeyed(t)
	a := k.open(k.ann)
	key, err := a.FleetKeys.SigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if trusted := k.trusted(); !slices.Equal(trusted, sign.Keys{key.Public()}) {
		t.Errorf("the clone trusts %q, the key is %q", trusted, key.Public())
	}
	signature, err := key.Sign("salvor-test", "place", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(k.dir, fleet.FleetSignersFile), "-I", "home", "-n", "salvor-test", "-s", filepath.Join(t.TempDir(), "sig"))
	if err := os.WriteFile(cmd.Args[len(cmd.Args)-1], signature, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader("\"place\"\ncontent")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("ssh-keygen does not take the file in Git: %v %s", err, out)
	}
}

// TestS06TheSigningKeyInGitIsNotTrustedByThat is about someone who pushes their own key.
func TestS06TheSigningKeyInGitIsNotTrustedByThat(t *testing.T) {
	k := newKeyed(t)
	own, other := k.trusted(), mustSigner(t).Public()
	k.commit(map[string][]byte{fleet.FleetSignersFile: sign.Keys{own[0], other}.Signers("home")})
	a := k.open(k.ann)
	for name, work := range map[string]func() error{
		"trusted": func() error { _, err := a.Confirmed.Trusted(); return err },
		"session": func() error { _, err := a.Session(t.Context(), progress.Discard()); return err },
		"card":    func() error { _, err := a.Mirrors.Card(t.Context()); return err },
		"sign":    func() error { _, err := a.FleetKeys.SigningKey(t.Context()); return err },
		"named":   func() error { _, err := a.Confirmed.Trust(own.Fingerprints()); return err },
	} {
		if err := work(); err == nil || !strings.Contains(err.Error(), other.Fingerprint()) || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var asked string
	no := errors.New("no")
	a = k.openAsking(func(question string) error { asked = question; return no })
	if _, err := a.Confirmed.Trusted(); !errors.Is(err, no) || !strings.Contains(asked, other.Fingerprint()) {
		t.Errorf("%v, asked %q", err, asked)
	}
	// taken back, the clone is as it was: nothing was pinned
	k.commit(map[string][]byte{fleet.FleetSignersFile: own.Signers("home")})
	if got := k.trusted(); !slices.Equal(got, own) {
		t.Errorf("trusted: %q", got)
	}
}

func TestAFleetWithoutASigningKeyIsRefused(t *testing.T) {
	k := newKeyed(t)
	own := k.trusted()
	k.commit(map[string][]byte{fleet.FleetSignersFile: nil})
	if _, err := k.open(k.ann).Session(t.Context(), progress.Discard()); err == nil || !strings.Contains(err.Error(), "no signing key") || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
	// a secret that is not the key that Git and the clone say
	other := mustSigner(t).Public()
	k.commit(map[string][]byte{fleet.FleetSignersFile: bytes.Replace(own.Signers("home"), []byte(own[0]), []byte(other), 1)})
	a := k.open(k.ann)
	if _, err := a.Confirmed.Trust([]string{other.Fingerprint()}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.FleetKeys.SigningKey(t.Context()); err == nil || fault.Hint(err) == "" {
		t.Errorf("%v", err)
	}
}
