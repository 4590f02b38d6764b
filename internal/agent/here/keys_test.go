package here_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/fault"
	"salvor/internal/sign"
)

// TestTheSigningKeyIsMadeOnce: by however many at a time, and never replaced.
func TestTheSigningKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if h.Signer() != "" {
		t.Error("a host without a key signs")
	}
	made := make([]sign.Public, 8)
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() {
			var err error
			if made[i], err = h.EnsureSigning("alpha"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made = slices.Compact(made); len(made) != 1 || made[0] != h.Signer() || (sign.Keys{made[0]}).Check() != nil {
		t.Errorf("made %q, signs as %q", made, h.Signer())
	}
}

// TestASigningKeyThatOthersReadDoesNotSign: and neither does what is not a key; the key is
// not made again.
func TestASigningKeyThatOthersReadDoesNotSign(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"open to others": func(path string) error { return os.Chmod(path, 0o640) },
		"not a key":      func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"a link":         func(path string) error { return os.Rename(path, path+".real") },
	} {
		h := bare(t)
		if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := h.EnsureSigning("alpha"); err != nil {
			t.Fatal(err)
		}
		path := h.Paths.SigningKey()
		if err := spoil(path); err != nil {
			t.Fatal(err)
		}
		if name == "a link" {
			if err := os.Symlink(path+".real", path); err != nil {
				t.Fatal(err)
			}
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if key, err := h.Signing(); err == nil || h.Signer() != "" {
			t.Errorf("%s: signs as %s", name, key.Public())
		}
		if _, err := h.EnsureSigning("alpha"); err == nil || !strings.Contains(err.Error(), "the signing key of alpha") || !strings.Contains(fault.Hint(err), "remove "+path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("%s: the file was replaced", name)
		}
	}
}

// TestTheHostTrustsWhatWasPinned: no keys change nothing, and neither do keys that are none.
func TestTheHostTrustsWhatWasPinned(t *testing.T) {
	t.Parallel()
	h := bare(t)
	if err := os.MkdirAll(h.Paths.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if keys, err := h.Trusted(); err == nil || fault.Hint(err) == "" {
		t.Errorf("before it was enrolled it trusts %q", keys)
	}
	first, second := sign.Keys{heretest.NewKey().Public()}, sign.Keys{heretest.NewKey().Public(), heretest.NewKey().Public()}
	for _, c := range []struct {
		name       string
		pin, trust sign.Keys
		refused    bool
	}{
		{"first", first, first, false},
		{"none", nil, first, false},
		{"what is not a key", sign.Keys{"ssh-ed25519 x\nhome ssh-ed25519 AAAA"}, first, true},
		{"others", second, second, false},
		{"the same", second, second, false},
	} {
		if err := h.Pin("home", c.pin); (err != nil) != c.refused {
			t.Errorf("%s: %v", c.name, err)
		}
		if keys, err := h.Trusted(); err != nil || !slices.Equal(keys, c.trust) {
			t.Errorf("%s: trusts %q, %v; want %q", c.name, keys, err, c.trust)
		}
	}
	if left, err := filepath.Glob(filepath.Join(h.Paths.Config, "*")); err != nil || len(left) != 1 {
		t.Errorf("files %q, %v", left, err)
	}
	for _, content := range []string{"", "garbage\n"} {
		heretest.Write(t, h.Paths.Signers(), content)
		if keys, err := h.Trusted(); err == nil {
			t.Errorf("%q is %q", content, keys)
		}
	}
}
