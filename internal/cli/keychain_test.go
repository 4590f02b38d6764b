package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/keychain"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// A drawer is a keychain, or none.
type drawer struct {
	kept map[string]string
	asks int
}

func (d *drawer) There() bool { return d.kept != nil }

func (d *drawer) Get(_ context.Context, account string) (secret.Value, error) {
	d.asks++
	if value, has := d.kept[account]; has {
		return secret.NewString(value), nil
	}
	return secret.Value{}, keychain.ErrNone
}

func (d *drawer) Set(_ context.Context, account string, v secret.Value) error {
	d.kept[account] = string(v.Reveal())
	return nil
}

func (d *drawer) Delete(_ context.Context, account string) error {
	delete(d.kept, account)
	return nil
}

// TestTheKeychainIsAskedFirst where it was given the passphrase; a person has three tries
// after it, and --passphrase-file counts more.
func TestTheKeychainIsAskedFirst(t *testing.T) {
	t.Parallel()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "me.age")
	if err := agekey.Create(path, key, secret.NewString("right"), 1); err != nil {
		t.Fatal(err)
	}
	g, screen, _ := onTerminal(t)
	system := &drawer{kept: map[string]string{}}
	g.Keychain = system
	opens := func() error {
		f, err := agekey.Open(path, agekey.FileOptions{Passphrase: func() func(int) (secret.Value, error) {
			give := unlocker(g)
			return func(wrong int) (secret.Value, error) { return give(path, wrong) }
		}()})
		if err == nil {
			_, err = f.Identities()
		}
		return err
	}
	screen.send(t, "wrong\nright\n")
	screen.await(t, "right")
	if err := opens(); err != nil || system.asks > 0 {
		t.Errorf("one that was given nothing: %v, asked %d times", err, system.asks)
	}
	screen.send(t, "right\n")
	if _, err := intoKeychain(t.Context(), g, path); err != nil || system.kept[path] != "right" {
		t.Fatalf("%v, keeps %q", err, system.kept)
	}
	if err := opens(); err != nil {
		t.Errorf("nothing is typed: %v", err)
	}
	system.kept[path] = "another key's"
	screen.send(t, "wrong\nwrong\nright\n")
	if err := opens(); err != nil {
		t.Errorf("after the keychain's was wrong: %v", err)
	}
	screen.await(t, "the passphrase in the keychain does not open ")
	screen.await(t, "(try 3 of 3)")
	g.passphraseFile, system.asks = "/dev/null", 0
	if err := opens(); !errors.Is(err, secret.ErrLocked) || system.asks > 0 {
		t.Errorf("with a file: %v, asked %d times", err, system.asks)
	}
	g.passphraseFile = ""
	if err := forget(t.Context(), g, path); err != nil || len(system.kept) > 0 {
		t.Errorf("%v, keeps %q", err, system.kept)
	}
	if _, err := os.Stat(inKeychain(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("afterwards the keychain is asked: %v", err)
	}
	g.Keychain = &drawer{}
	if _, err := intoKeychain(t.Context(), g, path); err == nil || err.Error() != "there is no keychain in this session" {
		t.Errorf("%v", err)
	}
}
