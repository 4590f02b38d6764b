package agekey

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/secret"
)

// WorkFactor is the logarithm of what each guess of a passphrase costs; 0 means
// age's own default, 18: about a second, 256 MiB. It is written in the file, so
// that a file with any factor can be opened.
type WorkFactor int

const usualWork = 18

// Path returns where an operator keeps the identity for a fleet, below the
// user's configuration folder.
func Path(configDir, fleet string) string {
	return filepath.Join(configDir, "salvor", fleet+".age")
}

// Create writes an identity file for the key, mode 0600, encrypted with the
// passphrase; `age -d` reads it. An empty passphrase leaves it unencrypted. What is
// there already stays: the error is then fs.ErrExist.
func Create(path string, key Key, passphrase secret.Value, work WorkFactor) error {
	content, err := protect(key.IdentityFile(), passphrase, work)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Create(path, bytes.NewReader(content), 0o600)
}

func protect(identities, passphrase secret.Value, work WorkFactor) ([]byte, error) {
	if passphrase.IsZero() {
		return identities.Reveal(), nil
	}
	r, err := age.NewScryptRecipient(string(passphrase.Reveal()))
	if err != nil {
		return nil, err
	}
	r.SetWorkFactor(int(cmp.Or(work, usualWork)))
	return EncryptTo(identities, r)
}

// FileOptions say how to unlock an identity file.
type FileOptions struct {
	// Passphrase is asked for when the file is needed and encrypted, and again while what
	// it returned does not open the file: wrong counts those. ErrNoOther ends that.
	Passphrase func(wrong int) (secret.Value, error)
	// UI answers age plugins; nil refuses plugin identities.
	UI *plugin.ClientUI
}

// ErrNoOther means that there is no passphrase to try after the wrong ones.
var ErrNoOther = errors.New("no other passphrase")

// One returns the passphrase to try when there is just this one.
func One(passphrase secret.Value) func(wrong int) (secret.Value, error) {
	return func(wrong int) (secret.Value, error) {
		if wrong > 0 {
			return secret.Value{}, ErrNoOther
		}
		return passphrase, nil
	}
}

// A File is an operator's identity file: a Keyring that asks for the
// passphrase when it is first used, and keeps what it unlocked in memory only.
// It is safe for concurrent use; callers that come together ask once.
type File struct {
	path string
	data []byte
	opts FileOptions

	mu  sync.Mutex
	ids []age.Identity
}

// Open reads an identity file and decrypts nothing yet. A missing file wraps
// fs.ErrNotExist and secret.ErrLocked.
func Open(path string, opts FileOptions) (*File, error) {
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %w", secret.ErrLocked, err)
	}
	if err != nil {
		return nil, err
	}
	return &File{path: path, data: data, opts: opts}, nil
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Content returns the file as it was read.
func (f *File) Content() []byte { return f.data }

// Plain decrypts the file, as the first passphrase that opens it does; nothing is kept.
func (f *File) Plain() (secret.Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.plain()
}

// Protected reports whether the file is encrypted.
func (f *File) Protected() bool { return IsFile(f.data) }

// Identities unlocks the file. A wrong passphrase wraps secret.ErrLocked and is
// not remembered: the next call asks again.
func (f *File) Identities() ([]age.Identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids != nil {
		return f.ids, nil
	}
	plain, err := f.plain()
	if err != nil {
		return nil, err
	}
	ids, err := ParseIdentities(f.path, plain.Reveal(), f.opts.UI)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", secret.ErrLocked, err)
	}
	f.ids = ids
	return ids, nil
}

// Recipient unlocks the file and returns the recipient of its one key.
func (f *File) Recipient() (string, error) {
	ids, err := f.Identities()
	if err != nil {
		return "", err
	}
	id, plain := ids[0].(*age.X25519Identity)
	if len(ids) != 1 || !plain {
		return "", fmt.Errorf("%s: want one key, and not a plugin's key", f.path)
	}
	return id.Recipient().String(), nil
}

// Protect encrypts the file again, with another passphrase or its first one. The old
// file is replaced once the new one was seen to open.
func (f *File) Protect(passphrase secret.Value) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	plain, err := f.plain()
	if err != nil {
		return err
	}
	content, err := protect(plain, passphrase, 0)
	if err != nil {
		return err
	}
	if !passphrase.IsZero() {
		if _, err := Decrypt(f.path, content, Passphrase(passphrase)); err != nil {
			return err
		}
	}
	if err := atomicfile.Write(f.path, bytes.NewReader(content), 0o600); err != nil {
		return err
	}
	f.data = content
	return nil
}

// plain decrypts the file with the first passphrase that opens it.
func (f *File) plain() (secret.Value, error) {
	if !f.Protected() {
		return secret.New(f.data), nil
	}
	if f.opts.Passphrase == nil {
		return secret.Value{}, fmt.Errorf("%s: needs its passphrase: %w", f.path, secret.ErrLocked)
	}
	last := secret.Value{}
	for wrong := 0; ; wrong++ {
		phrase, err := f.opts.Passphrase(wrong)
		switch {
		case errors.Is(err, ErrNoOther):
			return secret.Value{}, f.notOpenedBy(last)
		case errors.Is(err, secret.ErrLocked):
			return secret.Value{}, fmt.Errorf("%s: %w", f.path, err)
		case err != nil:
			return secret.Value{}, fmt.Errorf("%s: %w: %w", f.path, secret.ErrLocked, err)
		}
		last = phrase
		if phrase.IsZero() {
			continue
		}
		plain, err := Decrypt(f.path, f.data, Passphrase(phrase))
		if !errors.Is(err, secret.ErrLocked) {
			return plain, err
		}
	}
}

func (f *File) notOpenedBy(phrase secret.Value) error {
	if phrase.IsZero() {
		return fmt.Errorf("%s: no passphrase given: %w", f.path, secret.ErrLocked)
	}
	return fault.WithHint(fmt.Errorf("%s: wrong passphrase: %w", f.path, secret.ErrLocked), "type it "+
		"again; if you lost it, the recovery key opens everything: --identity CARD")
}

// Passphrase returns the keyring that opens files encrypted with a passphrase.
func Passphrase(v secret.Value) Keyring { return passphrase{v} }

type passphrase struct{ value secret.Value }

// Identities returns the passphrase as age's scrypt identity.
func (p passphrase) Identities() ([]age.Identity, error) {
	id, err := age.NewScryptIdentity(string(p.value.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", secret.ErrLocked, err)
	}
	return []age.Identity{id}, nil
}
