package agekey

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
)

// EnsureHost returns the recipient of the host's identity at path, making the
// identity at the first call: mode 0600, without a passphrase, since the host
// boots unattended. It is never replaced; a file that holds no identity is an
// error, as is one that others may read.
func EnsureHost(path string) (recipient string, err error) {
	if key, err := OpenHost(path); !errors.Is(err, fs.ErrNotExist) {
		return key.Recipient, err
	}
	key, err := Generate()
	if err != nil {
		return "", err
	}
	err = atomicfile.Create(path, bytes.NewReader(key.IdentityFile().Reveal()), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create host identity: %w", err)
	}
	key, err = OpenHost(path)
	return key.Recipient, err
}

// OpenHost reads the host's identity.
func OpenHost(path string) (Key, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return Key{}, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return Key{}, fmt.Errorf("%s: mode is %v, want a regular file with 0600", path, info.Mode())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Key{}, err
	}
	return singleKey(path, data)
}
