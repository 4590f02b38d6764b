package agekey

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"
)

// maxIdentity is more than any identity file or card has.
const maxIdentity = 1 << 20

// A Sight is what can be seen of an identity file without opening a key.
type Sight struct {
	Mode    fs.FileMode // its permissions
	InClear []string    // the recipients of the keys in it that have no passphrase
}

// Exposed reports whether users other than its owner may read or write the file.
func (s Sight) Exposed() bool { return s.Mode&0o066 != 0 }

// Look looks at an identity file; links are followed. What is not a regular file is an
// error, and is not read: a pipe gives its content only once.
func Look(path string) (Sight, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Sight{}, err
	}
	if !info.Mode().IsRegular() {
		return Sight{}, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return Sight{}, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxIdentity))
	s := Sight{Mode: info.Mode().Perm()}
	for line := range strings.Lines(string(data)) {
		if id, failed := age.ParseX25519Identity(strings.TrimSpace(line)); failed == nil {
			s.InClear = append(s.InClear, id.Recipient().String())
		}
	}
	return s, err
}
