package sign

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Signers returns the keys as OpenSSH's allowed_signers file has them, one a line, in
// their order, for the principal of that name.
func (ks Keys) Signers(principal string) []byte {
	var b bytes.Buffer
	for _, k := range ks {
		fmt.Fprintf(&b, "%s %s\n", principal, k)
	}
	return b.Bytes()
}

// ParseSigners reads what Signers returned, in its order; empty lines, lines that
// start with # and what follows a key are skipped. A line with options is an error,
// and so is a key that is there twice.
func ParseSigners(content []byte) (Keys, error) {
	var ks Keys
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		_, rest, _ := strings.Cut(line, " ")
		k, err := ParsePublic(rest)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if slices.Contains(ks, k) {
			return nil, fmt.Errorf("line %d: the key %s is there twice", number, k.Fingerprint())
		}
		ks = append(ks, k)
	}
	return ks, nil
}

// Check returns an error unless each of the keys is one that ParsePublic returns.
func (ks Keys) Check() error {
	for _, k := range ks {
		if parsed, err := ParsePublic(string(k)); err != nil {
			return err
		} else if parsed != k {
			return fmt.Errorf("%.60q is not in the short form of a key", string(k))
		}
	}
	return nil
}

// Fingerprints name the keys, in their order.
func (ks Keys) Fingerprints() []string {
	var all []string
	for _, k := range ks {
		all = append(all, k.Fingerprint())
	}
	return all
}
