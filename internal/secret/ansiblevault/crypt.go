package ansiblevault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/secret"
)

// Sizes and rounds of Ansible's VaultAES256: one derivation gives the cipher's
// key, the authentication key and the counter's first block.
const (
	rounds   = 10_000
	keySize  = 32
	macSize  = sha256.Size
	saltSize = 32
)

// WeakReason is why the strength of a vault's password matters, for messages.
const WeakReason = "Ansible Vault derives its key with only 10,000 rounds of PBKDF2, so anyone who has the file can try passwords fast"

// ErrPassword means that no known password opens the vault, or that it was tampered
// with: the format can't distinguish the two.
var ErrPassword = fmt.Errorf("none of the vault passwords fits: %w", secret.ErrLocked)

type keys struct{ cipher, mac, counter []byte }

// derive makes the keys of a password. Ansible strips white space at both ends
// of what it reads from a password file.
func derive(password secret.Value, salt []byte) (keys, error) {
	trimmed := strings.TrimSpace(string(password.Reveal()))
	if trimmed == "" {
		return keys{}, errors.New("the vault password is empty")
	}
	b, err := pbkdf2.Key(sha256.New, trimmed, salt, rounds, 2*keySize+aes.BlockSize)
	if err != nil {
		return keys{}, err
	}
	return keys{b[:keySize], b[keySize : 2*keySize], b[2*keySize:]}, nil
}

func (k keys) authenticate(ciphertext []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(ciphertext)
	return h.Sum(nil)
}

func (k keys) stream(data []byte) ([]byte, error) {
	block, err := aes.NewCipher(k.cipher)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(data))
	cipher.NewCTR(block, k.counter).XORKeyStream(out, data)
	return out, nil
}

// Open returns the plain value, or an error wrapping ErrPassword. Nothing is
// decrypted before the authentication code fits.
func (e Envelope) Open(password secret.Value) (secret.Value, error) {
	k, err := derive(password, e.salt)
	if err != nil {
		return secret.Value{}, err
	}
	if !hmac.Equal(k.authenticate(e.ciphertext), e.mac) {
		return secret.Value{}, ErrPassword
	}
	padded, err := k.stream(e.ciphertext)
	if err != nil {
		return secret.Value{}, err
	}
	plain, ok := unpad(padded)
	if !ok {
		return secret.Value{}, fmt.Errorf("%w: its padding is wrong", ErrFormat)
	}
	return secret.New(plain), nil
}

// Seal encrypts a value under a vault id; DefaultID or "" names none.
func Seal(plain, password secret.Value, id string) ([]byte, error) {
	if strings.ContainsAny(id, ";\n\r ") {
		return nil, fmt.Errorf("%q is not a vault id: it must not contain ; or white space", id)
	}
	e := Envelope{ID: id, salt: make([]byte, saltSize)}
	rand.Read(e.salt)
	k, err := derive(password, e.salt)
	if err != nil {
		return nil, err
	}
	if e.ciphertext, err = k.stream(pad(plain.Reveal())); err != nil {
		return nil, err
	}
	e.mac = k.authenticate(e.ciphertext)
	return e.Encode(), nil
}

// pad and unpad are PKCS #7 (RFC 5652, 6.3) to the cipher's block.
func pad(plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	return append(bytes.Clone(plain), bytes.Repeat([]byte{byte(n)}, n)...)
}

func unpad(padded []byte) ([]byte, bool) {
	if len(padded) == 0 || len(padded)%aes.BlockSize != 0 {
		return nil, false
	}
	n := int(padded[len(padded)-1])
	if n == 0 || n > aes.BlockSize || !bytes.Equal(padded[len(padded)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, false
	}
	return padded[:len(padded)-n], true
}
