package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/sign"
)

// Trusted returns the fleet's signing keys that this host trusts: those that an
// operator left here over SSH, at enrolment or with an apply. What is signed by
// another key is not the fleet's, whatever Git says. A host without one is an error.
func (h *base) Trusted() (sign.Keys, error) {
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

// pin has the host trust these keys of the fleet instead of those before; none
// changes nothing.
func (h *base) pin(fleet string, keys sign.Keys) error {
	content := signersFile(fleet, keys)
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

// signersFile is the content of /etc/salvor/fleet_signers, nil for no keys.
func signersFile(fleet string, keys sign.Keys) []byte {
	if len(keys) == 0 {
		return nil
	}
	return keys.Signers(fleet)
}
