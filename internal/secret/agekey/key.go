// Package agekey keeps age identities and uses them: the operator's (behind a
// passphrase), the recovery identity and each host's. Everything it writes is
// plain age, so that the age program reads it without Salvor.
package agekey

import (
	"fmt"

	"filippo.io/age"

	"salvor/internal/secret"
)

// A Key is one X25519 identity: the secret half and the recipient others
// encrypt to. It has no passphrase: where it is stored it is stored encrypted,
// or it is a host's.
type Key struct {
	Recipient string       // "age1…"
	Secret    secret.Value // "AGE-SECRET-KEY-1…"
}

// A Keyring gives the identities to try on an age file, unlocking them if
// need be. An error wraps secret.ErrLocked where the passphrase was wrong.
type Keyring interface {
	Identities() ([]age.Identity, error)
}

// Held is an identity whose private half another process has.
type Held interface {
	age.Identity
	Recipient() string
}

// RecipientOf returns the recipient of an identity; a plugin's can't be named.
func RecipientOf(id age.Identity) (recipient string, named bool) {
	switch id := id.(type) {
	case *age.X25519Identity:
		return id.Recipient().String(), true
	case Held:
		return id.Recipient(), true
	}
	return "", false
}

// Generate makes a new key.
func Generate() (Key, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Key{}, fmt.Errorf("generate age identity: %w", err)
	}
	return newKey(id), nil
}

// ParseKey reads the secret half of a key, as it is on the recovery card.
func ParseKey(v secret.Value) (Key, error) {
	id, err := age.ParseX25519Identity(string(v.Reveal()))
	if err != nil {
		// The library's text quotes what it read.
		return Key{}, fmt.Errorf("not an age secret key (AGE-SECRET-KEY-1…)")
	}
	return newKey(id), nil
}

func newKey(id *age.X25519Identity) Key {
	return Key{Recipient: id.Recipient().String(), Secret: secret.NewString(id.String())}
}

// Identities returns the key itself.
func (k Key) Identities() ([]age.Identity, error) {
	id, err := age.ParseX25519Identity(string(k.Secret.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("not an age secret key: %w", secret.ErrLocked)
	}
	return []age.Identity{id}, nil
}

// IdentityFile returns the key as age-keygen writes it.
func (k Key) IdentityFile() secret.Value {
	return secret.NewString(fmt.Sprintf("# public key: %s\n%s\n", k.Recipient, k.Secret.Reveal()))
}
