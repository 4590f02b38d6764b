// Package sign signs and checks the files that Salvor writes in places where others
// can write, too. Signatures are OpenSSH's (PROTOCOL.sshsig, with SHA-512), by
// Ed25519 keys, so that ssh-keygen -Y verify checks them too. It does no I/O.
package sign

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"salvor/internal/secret"
)

// ErrUntrusted is wrapped by errors that mean: there is no signature, or it is not
// by a key that is trusted, or it is for something else.
var ErrUntrusted = errors.New("not signed by a key that is trusted")

// A Kind says what a signature is for: sshsig's namespace. A signature of one kind
// is not valid for another.
type Kind string

// A Key signs. Its zero value does not.
type Key struct{ signer ssh.Signer }

// NewKey makes an Ed25519 key: the private half as OpenSSH writes it, without a
// passphrase.
func NewKey(comment string) (secret.Value, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return secret.Value{}, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(pem.EncodeToMemory(block)), nil
}

// ParseKey reads what NewKey returned. No error shows content.
func ParseKey(private secret.Value) (Key, error) {
	signer, err := ssh.ParsePrivateKey(private.Reveal())
	if err != nil || signer.PublicKey().Type() != ssh.KeyAlgoED25519 {
		return Key{}, errors.New("not an Ed25519 private key as OpenSSH writes it")
	}
	return Key{signer}, nil
}

// Public is the half that checks.
func (k Key) Public() Public { return publicOf(k.signer.PublicKey()) }

// A Public is a public key as a line of authorized_keys without its comment:
// "ssh-ed25519 AAAA…".
type Public string

func publicOf(key ssh.PublicKey) Public {
	return Public(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
}

// ParsePublic reads a line with or without a comment; it takes Ed25519 alone, and
// no options.
func ParsePublic(line string) (Public, error) {
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(bytes.TrimSpace(rest)) > 0 || key.Type() != ssh.KeyAlgoED25519 {
		return "", fmt.Errorf("%.60q is not an Ed25519 public key", line)
	}
	return publicOf(key), nil
}

// Fingerprint names the key as ssh-keygen -l does: "SHA256:…".
func (p Public) Fingerprint() string {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p))
	if err != nil {
		return "not a key"
	}
	return ssh.FingerprintSHA256(key)
}

// Sign returns the armored signature over a message that is meant for a place: the
// path of a file, say. At another place it does not count.
func (k Key) Sign(kind Kind, place string, message []byte) ([]byte, error) {
	if k.signer == nil {
		return nil, errors.New("no key to sign with")
	}
	s, err := sshsig.Sign(placed(place, message), k.signer, sshsig.HashSHA512, string(kind))
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", place, err)
	}
	return sshsig.Armor(s), nil
}

// Keys are the public keys that are trusted: one, or two while a new one takes the
// place of the old. None trusts nothing.
type Keys []Public

// Verify checks an armored signature, and returns by which key it is. Where it is
// by none of them, for another place, kind or message, the error wraps ErrUntrusted.
func (ks Keys) Verify(kind Kind, place string, message []byte, signature []byte) (Public, error) {
	s, err := sshsig.Unarmor(signature)
	if err != nil {
		return "", fmt.Errorf("%s: its signature can't be read: %w", place, ErrUntrusted)
	}
	by := publicOf(s.PublicKey)
	for _, trusted := range ks {
		if by != trusted {
			continue
		}
		if err := sshsig.Verify(placed(place, message), s, s.PublicKey, sshsig.HashSHA512, string(kind)); err != nil {
			return "", fmt.Errorf("%s: its signature is for something else: %w", place, ErrUntrusted)
		}
		return by, nil
	}
	return "", fmt.Errorf("%s: it is signed by %s: %w", place, by.Fingerprint(), ErrUntrusted)
}

// placed puts the place before the message. A place has no line break, so that
// two of them never give the same.
func placed(place string, message []byte) io.Reader {
	return bytes.NewReader(append(fmt.Appendf(nil, "%q\n", place), message...))
}
