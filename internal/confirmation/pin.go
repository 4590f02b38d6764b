package confirmation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/git"
	"salvor/internal/sign"
)

// signersPin is the clone's own copy of the fleet's signing keys: anyone who can push
// can change those in Git, but not these.
const signersPin = "fleet_signers"

// Pinned returns the fleet's signing keys that a clone trusts, none where it trusts none
// yet.
func Pinned(clone *git.Repository) (sign.Keys, error) {
	file, err := clone.OwnFile(signersPin)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	keys, err := sign.ParseSigners(content)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", file, err), "delete the file; salvor key trust writes it again")
	}
	return keys, nil
}

// Pin makes a clone of a fleet trust these signing keys, and no others.
func Pin(clone *git.Repository, fleet string, keys sign.Keys) error {
	file, err := clone.OwnFile(signersPin)
	if err != nil {
		return err
	}
	content := keys.Signers(fleet)
	if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, content) {
		return nil
	}
	return atomicfile.Write(file, bytes.NewReader(content), 0o600)
}
