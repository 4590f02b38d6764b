package controlrepo

import (
	"bytes"
	"slices"
	"strings"

	"salvor/internal/yamldoc"
)

// RemoveRecipient returns fleet.yaml without an operator. Comments stay, but for
// those inside the entry and on its lines.
func RemoveRecipient(content []byte, name string) ([]byte, error) {
	return yamldoc.Remove(content, yamldoc.Path{"recipients", "operators", name})
}

// RemoveHost returns fleet.yaml without a host, and without the tunnel that it took over.
// Comments stay, but for those inside the entries and on their lines.
func RemoveHost(content []byte, name string) ([]byte, error) {
	content, err := yamldoc.Remove(content, yamldoc.Path{"hosts", name})
	if err != nil {
		return nil, err
	}
	return RemoveTunnel(content, name)
}

// RemoveCredential returns fleet.yaml without the credential that a host has for a
// remote. Comments stay, but for those inside the entry and on its lines.
func RemoveCredential(content []byte, remote, host string) ([]byte, error) {
	return yamldoc.Remove(content, yamldoc.Path{"remotes", remote, "hosts", host})
}

// RemoveHostKeys returns known_hosts without what it pins for one name, such as
// "192.0.2.10" or "[beta.example.net]:2222". A line that names others as well
// stays for them, and so do marked lines: a key that is revoked stays revoked.
func RemoveHostKeys(content []byte, name string) []byte {
	var left []byte
	for line := range bytes.Lines(content) {
		left = append(left, withoutPattern(line, name)...)
	}
	return left
}

func withoutPattern(line []byte, name string) []byte {
	text := string(line)
	fields := strings.Fields(text)
	if len(fields) < 3 || strings.HasPrefix(fields[0], "#") || strings.HasPrefix(fields[0], "@") {
		return line
	}
	patterns := strings.Split(fields[0], ",")
	left := slices.DeleteFunc(slices.Clone(patterns), func(p string) bool { return p == name })
	switch len(left) {
	case len(patterns):
		return line
	case 0:
		return nil
	}
	return []byte(strings.Replace(text, fields[0], strings.Join(left, ","), 1))
}
