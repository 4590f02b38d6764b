package here

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// Signing returns the key with which this host signs what it finds out. Its file is
// as closed as the host's identity.
func (h *Host) Signing() (sign.Key, error) {
	path := h.Paths.SigningKey()
	info, err := os.Lstat(path)
	if err != nil {
		return sign.Key{}, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return sign.Key{}, fmt.Errorf("%s: mode is %v, want a regular file with 0600", path, info.Mode())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return sign.Key{}, err
	}
	key, err := sign.ParseKey(secret.New(content))
	if err != nil {
		return sign.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// EnsureSigning returns the public half of this host's signing key, making the key at
// the first call. It is never replaced; a file that holds none is an error.
func (h *Host) EnsureSigning(host string) (sign.Public, error) {
	if _, err := os.Lstat(h.Paths.SigningKey()); errors.Is(err, fs.ErrNotExist) {
		private, err := sign.NewKey(host)
		if err != nil {
			return "", err
		}
		err = atomicfile.Create(h.Paths.SigningKey(), bytes.NewReader(private.Reveal()), 0o600)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("create the host's signing key: %w", err)
		}
	}
	key, err := h.Signing()
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("the signing key of %s: %w", host, err), "on the host, remove "+h.Paths.SigningKey()+": salvor host add makes a new one")
	}
	return key.Public(), nil
}

// An ownRecipient is that of the identity in a file. Each look at the claims asks for
// it, and to work it out takes longer than the rest of a look on a slow machine.
type ownRecipient struct {
	file      os.FileInfo
	recipient string
}

// Recipient returns the recipient of the host's identity, "" where it can't be read.
func (h *Host) Recipient() string {
	info, err := os.Lstat(h.Paths.Identity())
	if err != nil {
		return ""
	}
	if last := h.own.Load(); last != nil && unchanged(last.file, info) {
		return last.recipient
	}
	key, err := agekey.OpenHost(h.Paths.Identity())
	if err != nil {
		return ""
	}
	h.own.Store(&ownRecipient{info, key.Recipient})
	return key.Recipient
}

func unchanged(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}

// Signer is the public half of this host's signing key, "" where it can't be read.
func (h *Host) Signer() sign.Public {
	key, err := h.Signing()
	if err != nil {
		return ""
	}
	return key.Public()
}

// Trusted returns the fleet's signing keys that this host trusts: those that an
// operator left here over SSH, at enrolment or with an apply. What is signed by
// another key is not the fleet's, whatever Git says. A host without one is an error.
func (h *Host) Trusted() (sign.Keys, error) {
	content, err := os.ReadFile(h.Paths.Signers())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	keys, err := sign.ParseSigners(content)
	if err == nil && len(keys) == 0 {
		err = errors.New("the host knows no signing key of the fleet")
	}
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", h.Paths.Signers(), err), "salvor apply delivers it")
	}
	return keys, nil
}

// Pin has the host trust these keys of the fleet instead of those before; none
// changes nothing.
func (h *Host) Pin(fleet string, keys sign.Keys) error {
	content := SignersFile(fleet, keys)
	if content == nil {
		return nil
	}
	if err := keys.Check(); err != nil {
		return fmt.Errorf("the fleet's signing keys: %w", err)
	}
	if before, err := os.ReadFile(h.Paths.Signers()); err == nil && bytes.Equal(before, content) {
		return nil
	}
	return atomicfile.Write(h.Paths.Signers(), bytes.NewReader(content), 0o600)
}

// SignersFile is the content of /etc/salvor/fleet_signers, nil for no keys.
func SignersFile(fleet string, keys sign.Keys) []byte {
	if len(keys) == 0 {
		return nil
	}
	return keys.Signers(fleet)
}
