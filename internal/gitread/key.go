package gitread

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"

	"salvor/internal/atomicfile"
	"salvor/internal/sign"
)

// EnsureKey returns the public half of the SSH key at path, in
// authorized_keys format, and makes the key when there is none, or none that can
// be read: the Git host is given the new one.
func EnsureKey(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	signer, err := ssh.ParsePrivateKey(content)
	if err != nil {
		if content, err = newKey(path); err == nil {
			signer, err = ssh.ParsePrivateKey(content)
		}
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

func newKey(path string) ([]byte, error) {
	key, err := sign.NewKey("salvor")
	if err != nil {
		return nil, err
	}
	content := key.Reveal()
	return content, atomicfile.Write(path, bytes.NewReader(content), 0o600)
}
