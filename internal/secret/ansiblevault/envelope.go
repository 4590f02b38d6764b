// Package ansiblevault reads and writes Ansible Vault's formats 1.1 and 1.2, so
// that ansible-vault and Salvor open each other's files. Operator's side only.
//
// The format: https://docs.ansible.com/ansible/latest/vault_guide/vault_using_encrypted_content.html
// A header line `$ANSIBLE_VAULT;1.1;AES256`, or `$ANSIBLE_VAULT;1.2;AES256;ID`,
// then hexadecimal digits in lines of 80.
package ansiblevault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrFormat is wrapped by errors that mean: this is not a vault that can be read.
var ErrFormat = errors.New("not an Ansible Vault that can be read")

const (
	magic     = "$ANSIBLE_VAULT"
	lineWidth = 80
	// DefaultID is the vault id of files that name none.
	DefaultID = "default"
)

// An Envelope is an encrypted value, taken apart and not opened.
type Envelope struct {
	ID string // vault id, DefaultID where the file names none: a hint, it is not authenticated

	salt, mac, ciphertext []byte
}

// IsVault reports whether content begins like a vault.
func IsVault(content []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte(magic+";"))
}

// IsWhole reports whether Ansible decrypts all of a file before it reads any of it: nothing comes before the envelope.
func IsWhole(content []byte) bool { return bytes.HasPrefix(content, []byte(magic+";")) }

// Parse reads a vault: a whole file, or the text of an inline value. Space at
// the ends of lines does not count. Errors wrap ErrFormat and show no content.
func Parse(content []byte) (Envelope, error) {
	head, body, _ := strings.Cut(strings.TrimSpace(string(content)), "\n")
	e, err := parseHeader(strings.TrimSpace(head))
	if err != nil {
		return Envelope{}, err
	}
	inner, err := unhex(strings.Join(strings.Fields(body), ""))
	if err != nil {
		return Envelope{}, err
	}
	parts := bytes.Split(inner, []byte("\n"))
	if len(parts) != 3 {
		return Envelope{}, fmt.Errorf("%w: it has %d parts, want salt, authentication code and ciphertext", ErrFormat, len(parts))
	}
	for i, into := range []*[]byte{&e.salt, &e.mac, &e.ciphertext} {
		if *into, err = unhex(string(parts[i])); err != nil {
			return Envelope{}, err
		}
	}
	if len(e.mac) != macSize || len(e.salt) == 0 {
		return Envelope{}, fmt.Errorf("%w: it is truncated", ErrFormat)
	}
	return e, nil
}

func parseHeader(line string) (Envelope, error) {
	fields := strings.Split(line, ";")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	switch {
	case fields[0] != magic || len(fields) < 3:
		return Envelope{}, fmt.Errorf("%w: no header", ErrFormat)
	case fields[2] != "AES256":
		return Envelope{}, fmt.Errorf("%w: cipher %q; ansible-vault rekey makes it AES256", ErrFormat, fields[2])
	case fields[1] == "1.1" && len(fields) == 3:
		return Envelope{ID: DefaultID}, nil
	case fields[1] == "1.2" && len(fields) == 4 && fields[3] != "":
		return Envelope{ID: fields[3]}, nil
	}
	return Envelope{}, fmt.Errorf("%w: version %q", ErrFormat, fields[1])
}

func unhex(digits string) ([]byte, error) {
	b, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged", ErrFormat)
	}
	return b, nil
}

// Encode writes the envelope as ansible-vault does, with a newline at its end.
func (e Envelope) Encode() []byte {
	header := magic + ";1.1;AES256"
	if e.ID != "" && e.ID != DefaultID {
		header = magic + ";1.2;AES256;" + e.ID
	}
	inner := hex.EncodeToString(e.salt) + "\n" + hex.EncodeToString(e.mac) + "\n" + hex.EncodeToString(e.ciphertext)
	var out bytes.Buffer
	out.WriteString(header + "\n")
	for digits := hex.EncodeToString([]byte(inner)); digits != ""; {
		n := min(lineWidth, len(digits))
		out.WriteString(digits[:n] + "\n")
		digits = digits[n:]
	}
	return out.Bytes()
}
