package agekey

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"filippo.io/age/armor"

	"salvor/internal/secret"
)

// Encrypt returns plain as an armored age file for the recipients. It is never
// the same twice.
func Encrypt(plain secret.Value, recipients ...string) ([]byte, error) {
	parsed := make([]age.Recipient, 0, len(recipients))
	for _, r := range recipients {
		p, err := ParseRecipient(r)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, p)
	}
	return EncryptTo(plain, parsed...)
}

// EncryptTo is Encrypt for recipients of the age library.
func EncryptTo(plain secret.Value, recipients ...age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	armored := armor.NewWriter(&out)
	w, err := age.Encrypt(armored, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if _, err := w.Write(plain.Reveal()); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if err := errors.Join(w.Close(), armored.Close()); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// Decrypt opens an age file, armored or not; name is for errors. Where no
// identity of the ring fits, the error wraps secret.ErrLocked; a damaged file
// is another error. Nothing is returned unless all of it is authentic.
func Decrypt(name string, data []byte, ring Keyring) (secret.Value, error) {
	if !IsFile(data) {
		// The library would quote the first line, which may be a plain secret.
		return secret.Value{}, fmt.Errorf("%s: not an age file", name)
	}
	ids, err := ring.Identities()
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", name, err)
	}
	r, err := age.Decrypt(Dearmored(data), ids...)
	if noMatch := new(age.NoIdentityMatchError); errors.As(err, &noMatch) {
		return secret.Value{}, fmt.Errorf("%s: encrypted to other keys, not this one: %w", name, secret.ErrLocked)
	}
	if errors.Is(err, secret.ErrLocked) { // a key that is held elsewhere
		return secret.Value{}, fmt.Errorf("%s: %w", name, err)
	}
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: damaged: %w", name, err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: damaged: %w", name, err)
	}
	return secret.New(plain), nil
}

// Dearmored returns a reader of the binary age file in data, which may be
// armored.
func Dearmored(data []byte) io.Reader {
	if isArmored(data) {
		return armor.NewReader(bytes.NewReader(data))
	}
	return bytes.NewReader(data)
}

// IsFile reports whether data looks like an age file, armored or not.
func IsFile(data []byte) bool {
	return isArmored(data) || bytes.HasPrefix(data, []byte("age-encryption.org/"))
}

func isArmored(data []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(data), []byte(armor.Header))
}
