package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/keychain"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/terminal"
)

// A Keychain is the system's, which keeps passphrases.
type Keychain interface {
	There() bool
	Get(ctx context.Context, account string) (secret.Value, error)
	Set(ctx context.Context, account string, v secret.Value) error
	Delete(ctx context.Context, account string) error
}

// inKeychain is the file next to an identity that says that the keychain has its
// passphrase: a keychain that is asked for what it does not have may ask a person first.
func inKeychain(path string) string { return path + ".keychain" }

// unlocker returns what gives the passphrases to try on the operator's identity file: the
// one that the keychain has, then those that are typed or given.
func unlocker(g *globals) func(path string, wrong int) (secret.Value, error) {
	fromKeychain := 0
	return func(path string, wrong int) (secret.Value, error) {
		if _, err := os.Stat(inKeychain(path)); wrong == 0 && err == nil && g.Keychain != nil && g.typesPassphrase() {
			kept, err := fromSystem(g, path)
			if err == nil {
				fromKeychain = 1
				return kept, nil
			}
			g.note(err)
		}
		if wrong == 1 && fromKeychain == 1 {
			g.note(fmt.Errorf("the passphrase in the keychain does not open %s; salvor key unlock --keychain keeps the right one", path))
		}
		return unlock(g, path, wrong-fromKeychain)
	}
}

// fromSystem returns the passphrase of an identity that the keychain has.
func fromSystem(g *globals, path string) (secret.Value, error) {
	account, err := filepath.Abs(path)
	if err != nil {
		return secret.Value{}, err
	}
	ctx, cancel := g.untilInterrupted()
	defer cancel()
	kept, err := g.Keychain.Get(ctx, account)
	if err != nil {
		err = fmt.Errorf("the passphrase of %s: %w", path, err)
	}
	return kept, err
}

// keep puts a passphrase that opens the file into the keychain, and reads it back.
func keep(ctx context.Context, g *globals, f *agekey.File, passphrase secret.Value) error {
	account, err := filepath.Abs(f.Path())
	if err != nil {
		return err
	}
	if err := g.Keychain.Set(ctx, account, passphrase); err != nil {
		return err
	}
	kept, err := g.Keychain.Get(ctx, account)
	if err == nil && string(kept.Reveal()) != string(passphrase.Reveal()) {
		err = errors.New("the system's keychain did not keep the passphrase as it is")
	}
	if err == nil {
		err = atomicfile.Write(inKeychain(f.Path()), strings.NewReader(""), 0o600)
	}
	if err != nil {
		return err
	}
	terminal.Printf(g.Err, "the system's keychain has the passphrase of %s; salvor key lock --keychain removes it\n", f.Path())
	return nil
}

// forget removes the passphrase of an identity from the keychain, if it is there.
func forget(ctx context.Context, g *globals, path string) error {
	account, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(inKeychain(path)); err != nil || g.Keychain == nil {
		terminal.Printf(g.Err, "the keychain does not have the passphrase of %s\n", path)
		return nil
	}
	if err := g.Keychain.Delete(ctx, account); err != nil && !errors.Is(err, keychain.ErrNone) {
		return err
	}
	terminal.Printf(g.Err, "the keychain no longer has the passphrase of %s\n", path)
	return os.Remove(inKeychain(path))
}

// intoKeychain asks for an identity's passphrase and puts it into the keychain once it has
// opened the file. It returns the file, which opens without another question.
func intoKeychain(ctx context.Context, g *globals, path string) (*agekey.File, error) {
	if g.Keychain == nil || !g.Keychain.There() {
		return nil, fault.WithHint(errors.New("there is no keychain in this session"), "salvor key unlock, without --keychain, keeps the key open for an hour")
	}
	var last secret.Value
	f, err := agekey.Open(path, agekey.FileOptions{Passphrase: func(wrong int) (_ secret.Value, err error) {
		if wrong == 0 && !last.IsZero() {
			return last, nil
		}
		last, err = unlock(g, path, wrong)
		return last, err
	}})
	if err == nil {
		_, err = f.Plain()
	}
	if err == nil {
		err = keep(ctx, g, f, last)
	}
	return f, err
}
