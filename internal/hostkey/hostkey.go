// Package hostkey is what Git has of a host, in hosts/<name>.pub: the recipient that
// its secrets are encrypted to, and the key with which it signs what it finds out.
// That counts if the fleet's key has signed the file; anyone who can push can change
// it. It does no I/O.
package hostkey

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"

	"salvor/internal/sign"
)

// Kind is what the fleet's key signs the files of hosts/ as that say which hosts and
// which logins there are. The place is the path of the file.
const Kind sign.Kind = "salvor-hosts"

// Path returns where a host's keys are in the repository.
func Path(host string) string { return "hosts/" + host + ".pub" }

// SignaturePath returns where the signature of such a file is.
func SignaturePath(file string) string { return file + ".sig" }

// Keys are the public keys of a host.
type Keys struct {
	Recipient string      // an X25519 recipient of age
	Signer    sign.Public // "" for a host that was enrolled before hosts signed
}

// Parse reads the file of a host's keys: a line each, in any order; empty lines and
// those that start with # are skipped. line is the one that the error is about, 0 for
// the file.
func Parse(content []byte) (k Keys, line int, err error) {
	for text := range strings.Lines(string(content)) {
		line++
		text = strings.TrimSpace(text)
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "ssh-"):
			if k.Signer != "" {
				return Keys{}, line, errors.New("a second signing key, want one")
			}
			if k.Signer, err = sign.ParsePublic(text); err != nil {
				return Keys{}, line, err
			}
		default:
			if err := CheckRecipient(text); err != nil {
				return Keys{}, line, err
			}
			if k.Recipient != "" {
				return Keys{}, line, errors.New("a second recipient, want one")
			}
			k.Recipient = text
		}
	}
	if k.Recipient == "" {
		return Keys{}, 0, errors.New("it has no recipient")
	}
	return k, 0, nil
}

// File returns the file of the keys.
func (k Keys) File() []byte {
	content := k.Recipient + "\n"
	if k.Signer != "" {
		content += string(k.Signer) + "\n"
	}
	return []byte(content)
}

// CheckRecipient accepts a native age recipient, X25519: sealing for another kind
// would start a plugin. An identity in its place would publish it, so it is named
// and not shown.
func CheckRecipient(v string) error {
	if strings.HasPrefix(strings.ToUpper(v), "AGE-") {
		return errors.New("this is a secret key, not a recipient: remove it, and replace the key if it was ever committed")
	}
	if _, err := age.ParseX25519Recipient(v); err != nil {
		return fmt.Errorf("%q is not an age recipient: it must start with age1", v)
	}
	return nil
}

// Sign returns the signature of a file of hosts/ by the fleet's key.
func Sign(file string, content []byte, fleet sign.Key) ([]byte, error) {
	return fleet.Sign(Kind, file, content)
}

// Check is an error that wraps sign.ErrUntrusted unless one of the fleet's keys has
// signed the file for its path.
func Check(file string, content, signature []byte, fleet sign.Keys) error {
	if len(signature) == 0 {
		return fmt.Errorf("%s has no signature in %s: %w", file, SignaturePath(file), sign.ErrUntrusted)
	}
	_, err := fleet.Verify(Kind, file, content, signature)
	return err
}
