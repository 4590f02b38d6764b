package controlrepo

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/sign"
)

// A HostKey is one line of known_hosts.
type HostKey struct {
	Marker   string   // "", "@revoked" or "@cert-authority"
	Patterns []string // who shows it: "192.0.2.10", "[beta.example.net]:2222"
	Type     string   // "ssh-ed25519"
	Key      []byte   // in SSH's wire format
	Position Position
}

// readHostKeys reads hosts/<name>.pub, by the names of the hosts.
func readHostKeys(fsys fs.FS, problems *problemList) (recipients map[string]string, signers map[string]sign.Public) {
	files, err := fs.ReadDir(fsys, fleet.HostDir)
	if err != nil {
		problems.addRead(fleet.HostDir, err)
	}
	recipients, signers = map[string]string{}, map[string]sign.Public{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".pub")
		if !ok || f.IsDir() {
			continue
		}
		content, err := fs.ReadFile(fsys, hostkey.Path(name))
		if err != nil {
			problems.addRead(hostkey.Path(name), err)
			continue
		}
		if k := decodeHostKeys(hostkey.Path(name), content, problems); k.Recipient != "" {
			recipients[name], signers[name] = k.Recipient, k.Signer
		}
	}
	return recipients, signers
}

func decodeHostKeys(file string, content []byte, problems *problemList) hostkey.Keys {
	k, line, err := hostkey.Parse(content)
	switch {
	case err == nil:
	case line == 0:
		problems.add(Position{File: file}, "%v", err)
	default:
		problems.add(Position{file, line, 1}, "%v", err)
	}
	return k
}

// readKnownHosts reads the pinned host keys; a missing file pins none.
func readKnownHosts(fsys fs.FS, problems *problemList) []HostKey {
	content, err := fs.ReadFile(fsys, fleet.KnownHostsFile)
	if err != nil {
		problems.addRead(fleet.KnownHostsFile, err)
		return nil
	}
	return decodeKnownHosts(fleet.KnownHostsFile, content, problems)
}

func decodeKnownHosts(file string, content []byte, problems *problemList) []HostKey {
	var keys []HostKey
	for i, line := range lines(content) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		place := Position{file, i + 1, 1}
		key, err := parseHostKey(line)
		if err != nil {
			problems.add(place, "%v", err)
			continue
		}
		key.Position = place
		keys = append(keys, key)
	}
	return keys
}

// readAuthorizedKeys reads the public keys that hosts accept, without comments and
// empty lines; a missing file has none.
func readAuthorizedKeys(fsys fs.FS, problems *problemList) []string {
	content, err := fs.ReadFile(fsys, fleet.AuthorizedKeysFile)
	if err != nil {
		problems.addRead(fleet.AuthorizedKeysFile, err)
		return nil
	}
	return decodeAuthorizedKeys(fleet.AuthorizedKeysFile, content, problems)
}

func decodeAuthorizedKeys(file string, content []byte, problems *problemList) []string {
	var keys []string
	for i, line := range lines(content) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// the line without a host is what known_hosts has behind the host
		if _, err := parseHostKey("host " + line); err != nil {
			problems.add(Position{file, i + 1, 1}, "no public key: %v", err)
			continue
		}
		keys = append(keys, line)
	}
	return keys
}

// readFleetSigners reads the fleet's signing keys; a missing file has none.
func readFleetSigners(fsys fs.FS, problems *problemList) sign.Keys {
	content, err := fs.ReadFile(fsys, fleet.FleetSignersFile)
	if err != nil {
		problems.addRead(fleet.FleetSignersFile, err)
		return nil
	}
	keys, err := sign.ParseSigners(content)
	if err != nil {
		problems.add(Position{File: fleet.FleetSignersFile}, "%v", err)
	}
	return keys
}

// parseHostKey reads `[marker] patterns type key [comment]`, as sshd(8) has it.
func parseHostKey(line string) (HostKey, error) {
	var k HostKey
	fields := strings.Fields(line)
	if strings.HasPrefix(fields[0], "@") {
		k.Marker, fields = fields[0], fields[1:]
		if k.Marker != "@revoked" && k.Marker != "@cert-authority" {
			return k, errors.New("unknown marker " + k.Marker + didYouMean(k.Marker, []string{"@revoked", "@cert-authority"}))
		}
	}
	if len(fields) < 3 {
		return k, errors.New("want a host, a type of key and the key")
	}
	wire, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return k, errors.New("the key is not base64")
	}
	if wireType(wire) != fields[1] {
		return k, errors.New("the key is not of the type " + fields[1])
	}
	k.Patterns, k.Type, k.Key = strings.Split(fields[0], ","), fields[1], wire
	return k, nil
}

// wireType returns the type that a key in SSH's wire format (RFC 4253, 6.6)
// begins with.
func wireType(wire []byte) string {
	if len(wire) < 4 {
		return ""
	}
	size := binary.BigEndian.Uint32(wire)
	if uint64(size) >= uint64(len(wire)-4) {
		return ""
	}
	return string(wire[4 : 4+size])
}

// lines returns the lines of a file, trimmed.
func lines(content []byte) []string {
	var all []string
	for line := range bytes.Lines(content) {
		all = append(all, strings.TrimSpace(string(line)))
	}
	return all
}

// addRead reports a file that could not be read; one that is not there is no
// problem.
func (l *problemList) addRead(file string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	l.add(Position{File: file}, "%v", err)
}

// unknownHosts returns the names of recipients that belong to no declared host.
func unknownHosts(recipients map[string]string, f *fleet.Fleet) []string {
	var names []string
	for _, name := range keysSorted(recipients) {
		if _, ok := f.Host(name); !ok {
			names = append(names, name)
		}
	}
	return names
}
