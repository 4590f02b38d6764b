package confirmation

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

// signedBy has Git say which signing keys the fleet has.
func (c clone) signedBy(keys ...sign.Public) {
	c.t.Helper()
	c.Commit(c.t, map[string][]byte{fleet.FleetSignersFile: sign.Keys(keys).Signers("home")})
}

// trust has the clone trust what Git says, by the fingerprints of keys.
func (c clone) trust(keys ...sign.Public) sign.Keys {
	c.t.Helper()
	got, err := c.open(Options{}).Trust(sign.Keys(keys).Fingerprints())
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// TestS06TheSigningKeyInGitIsNotTrustedByThat is about someone who pushes their own key.
func TestS06TheSigningKeyInGitIsNotTrustedByThat(t *testing.T) {
	t.Parallel()
	c, own, other := newClone(t), signtest.NewKey().Public(), signtest.NewKey().Public()
	c.signedBy(own)
	c.trust(own)
	c.signedBy(own, other)
	for name, work := range map[string]func(*Confirmed) error{
		"unasked":       func(now *Confirmed) error { _, err := now.Trusted(); return err },
		"by the others": func(now *Confirmed) error { _, err := now.Trust([]string{own.Fingerprint()}); return err },
	} {
		if err := work(c.open(Options{})); err == nil || !strings.Contains(err.Error(), other.Fingerprint()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if trusts, err := c.open(Options{}).TrustsSigners(); err != nil || trusts {
		t.Errorf("it trusts them: %v, %v", trusts, err)
	}
	// taken back, the clone is as it was: nothing was pinned
	c.signedBy(own)
	if got, err := c.open(Options{}).Trusted(); err != nil || !slices.Equal(got, sign.Keys{own}) {
		t.Errorf("trusted: %q, %v", got, err)
	}
}

// TestASigningKeyThatWasDroppedIsAskedForAgain is a key that was replaced because
// others may have it.
func TestASigningKeyThatWasDroppedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	c, own, next := newClone(t), signtest.NewKey().Public(), signtest.NewKey().Public()
	c.signedBy(own)
	c.trust(own)
	for _, keys := range []sign.Keys{{own, next}, {next}} {
		c.signedBy(keys...)
		if got := c.trust(next); !slices.Equal(got, keys) {
			t.Fatalf("trusted: %q", got)
		}
	}
	c.signedBy(own)
	if got, err := c.open(Options{}).Trusted(); err == nil {
		t.Errorf("the old key is back: %q", got)
	}
}

func TestACloneTrustsNoSigningKeyYet(t *testing.T) {
	t.Parallel()
	c, own := newClone(t), signtest.NewKey().Public()
	c.signedBy(own)
	c.trust(own)
	again := filepath.Join(t.TempDir(), "again")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", c.Dir, again).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	c.Dir = again
	if keys, err := c.open(Options{}).Trusted(); err == nil {
		t.Errorf("trusted unasked: %q", keys)
	}
	asked := 0
	for range 2 {
		keys, err := c.open(Options{Trust: func(string) error { asked++; return nil }}).Trusted()
		if err != nil || !slices.Equal(keys, sign.Keys{own}) || asked != 1 {
			t.Errorf("%q, %v, asked %d times", keys, err, asked)
		}
	}
}
