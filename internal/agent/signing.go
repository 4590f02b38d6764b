package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// signing returns the key with which this host signs what it finds out. Its file is
// as closed as the host's identity.
func (h *base) signing() (sign.Key, error) {
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

// ensureSigning returns the public half of this host's signing key, making the key at
// the first call. It is never replaced; a file that holds none is an error.
func (h *base) ensureSigning(host string) (sign.Public, error) {
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
	key, err := h.signing()
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("the signing key of %s: %w", host, err), "on the host, remove "+h.Paths.SigningKey()+": salvor host add makes a new one")
	}
	return key.Public(), nil
}

// Keys says which machine this host is.
func (h *Host) Keys(context.Context, agentapi.AskKeys, progress.Sink) (agentapi.HostKeys, error) {
	return agentapi.HostKeys{Schema: agentapi.Schema, Recipient: h.base().key(), Signer: h.base().signer()}, nil
}

// signer is the public half of this host's signing key, "" where it can't be read.
func (h *base) signer() sign.Public {
	key, err := h.signing()
	if err != nil {
		return ""
	}
	return key.Public()
}
