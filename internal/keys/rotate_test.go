package keys

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

func TestRotateRecovery(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	before, was := k.recovery(), k.open(k.ann).Lock().Stacks["notes"]
	k.do(func(a *opened) error { _, err := a.Keys.PrepareRotateRecovery(false).Run(t.Context(), nil); return err })
	k.opensNothing("the old card", before)
	k.opensSecrets("the new card", k.recovery())
	if now := k.open(k.ann).Lock().Stacks["notes"]; !cmp.Equal(was, now) || len(k.codes(finding.SecretSeen)) != 0 {
		t.Errorf("a healthy key asks for %+v and %v", now, k.codes(finding.SecretSeen))
	}
	k.do(func(a *opened) error { _, err := a.Keys.PrepareRotateRecovery(true).Run(t.Context(), nil); return err })
	if now := k.open(k.ann).Lock().Stacks["notes"]; len(now.Former["offsite"]) != 1 || len(k.codes(finding.SecretSeen)) != 5 {
		t.Errorf("a compromised key asks for %+v and %v", now, k.codes(finding.SecretSeen))
	}
}

func phrase(text string) func(string) (secret.Value, error) {
	return func(string) (secret.Value, error) { return secret.NewString(text), nil }
}

// ringOf returns the keyring of an identity file with its passphrase.
func ringOf(t *testing.T, path, text string) *agekey.File {
	t.Helper()
	f, err := agekey.Open(path, agekey.FileOptions{Passphrase: agekey.One(secret.NewString(text))})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func rotate(ctx context.Context, a *opened, compromised bool) (Rotated, error) {
	return a.Keys.PrepareRotate(Rotation{Compromised: compromised, Passphrase: phrase("")}).Run(ctx, nil)
}

func TestRotateKey(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	old, was := ringOf(t, k.ann, ""), k.open(k.ann).Lock().Stacks["notes"]
	recipient, err := old.Recipient()
	if err != nil {
		t.Fatal(err)
	}
	r, err := k.open(k.ann).Keys.PrepareRotate(Rotation{Passphrase: phrase("new")}).Run(t.Context(), nil)
	if err != nil || r.Operator != "ann" || r.Finished {
		t.Fatalf("%+v, %v", r, err)
	}
	fresh := ringOf(t, k.ann, "new")
	k.opensAll("the new key", fresh)
	if err := k.open(k.ann).Keys.opensAll(t.Context(), old); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("the old key: %v", err)
	}
	a := k.open(k.ann)
	if now := a.Fleet().Recipients.Operators["ann"]; now == recipient {
		t.Error("fleet.yaml has the old recipient")
	}
	if now := a.Lock().Stacks["notes"]; !cmp.Equal(was, now) {
		t.Errorf("a healthy key asks for %+v", now)
	}
	if got, err := ringOf(t, r.Old, "").Recipient(); err != nil || got != recipient {
		t.Errorf("the old key lies at %s: %v", r.Old, err)
	}
	if _, err := os.Stat(newKeyPath(k.ann)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the new key lies beside, too: %v", err)
	}
}

// killed makes of a rotation that was done one that was killed, by putting the
// files of the identity back.
func killed(t *testing.T, at, beside []byte, path string) {
	t.Helper()
	for file, content := range map[string][]byte{path: at, newKeyPath(path): beside} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotateKeyThatWasKilledIsFinished(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	before, err := os.ReadFile(k.ann)
	if err != nil {
		t.Fatal(err)
	}
	// before the commit: the new key is there, and the old one opens everything
	if err := createKey(newKeyPath(k.ann), secret.Value{}, 0); err != nil {
		t.Fatal(err)
	}
	waiting, err := os.ReadFile(newKeyPath(k.ann))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := rotate(t.Context(), k.open(k.ann), false); err != nil || r.Finished {
		t.Fatalf("%+v, %v", r, err)
	}
	after, err := os.ReadFile(k.ann)
	if err != nil || string(after) != string(waiting) {
		t.Fatalf("another key was made: %v", err)
	}
	head := k.open(k.ann).Commit()
	for name, at := range map[string][]byte{"before the old key was moved": before, "before the waiting file was removed": after} {
		killed(t, at, after, k.ann)
		r, err := rotate(t.Context(), k.open(k.ann), false)
		if err != nil || !r.Finished || r.Operator != "ann" {
			t.Errorf("killed %s: %+v, %v", name, r, err)
		}
		if now, err := os.ReadFile(k.ann); err != nil || string(now) != string(after) {
			t.Errorf("killed %s: the key is not in place: %v", name, err)
		}
		if got := k.open(k.ann).Commit(); got != head {
			t.Errorf("killed %s: finishing committed again", name)
		}
	}
	// the first try said that the key is healthy, the second that it is not
	killed(t, before, after, k.ann)
	if r, err := rotate(t.Context(), k.open(k.ann), true); err != nil || !r.Finished || len(r.Exposed) != 5 || !slices.Equal(r.Stacks, []string{"notes"}) {
		t.Errorf("%+v, %v", r, err)
	}
	k.opensAll("the new key", ringOf(t, k.ann, ""))
	// killed once more: what is left to do is printed again, and nothing is done twice
	was := k.open(k.ann).Lock().Stacks["notes"]
	killed(t, before, after, k.ann)
	if r, err := rotate(t.Context(), k.open(k.ann), true); err != nil || len(r.Exposed) != 5 || !slices.Equal(r.Stacks, []string{"notes"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if now := k.open(k.ann).Lock().Stacks["notes"]; !cmp.Equal(was, now) {
		t.Errorf("repositories were renewed twice: %+v", now)
	}
}

func TestRotateKeyRefuses(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	path := filepath.Join(t.TempDir(), "card")
	if err := agekey.Create(path, k.recovery(), secret.Value{}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate(t.Context(), k.open(path), false); err == nil || !strings.Contains(err.Error(), "not an operator's") {
		t.Errorf("the recovery key is no operator's: %v", err)
	}
	if err := createKey(newKeyPath(k.ann), secret.NewString("forgotten"), quickWork); err != nil {
		t.Fatal(err)
	}
	if _, err := rotate(t.Context(), k.open(k.ann), false); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("the waiting key with another passphrase: %v", err)
	}
	k.opensAll("the old key", ringOf(t, k.ann, ""))
}

func TestRotateKeyThatOthersMayHave(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	was, old, page := k.open(k.ann).Lock().Stacks["notes"], ringOf(t, k.ann, ""), k.recovery()
	r, err := rotate(t.Context(), k.open(k.ann), true)
	if err != nil || len(r.Exposed) != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	k.opensAll("the new key", ringOf(t, k.ann, ""))
	k.checkRenewed(was)
	k.opensNothing("the old card", page)
	if err := k.open(k.ann).Keys.opensAll(t.Context(), old); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("the old key: %v", err)
	}
}
