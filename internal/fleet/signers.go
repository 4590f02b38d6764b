package fleet

import (
	"bytes"
	"slices"
)

// Signers are the keys whose signature makes a commit one of the fleet's.
type Signers struct {
	SSH []byte   // in the format of OpenSSH's allowed_signers
	GPG []string // fingerprints in capital hexadecimal
}

// Empty reports that no key is listed.
func (s Signers) Empty() bool { return len(bytes.TrimSpace(s.SSH)) == 0 && len(s.GPG) == 0 }

// Equal reports whether both list the same.
func (s Signers) Equal(o Signers) bool {
	return bytes.Equal(s.SSH, o.SSH) && slices.Equal(s.GPG, o.GPG)
}
