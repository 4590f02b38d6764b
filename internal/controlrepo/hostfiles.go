package controlrepo

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/sign"
	"salvor/internal/suggest"
	"salvor/internal/yamldoc"
)

// A HostKey is one line of known_hosts.
type HostKey struct {
	Marker   string   // "", "@revoked" or "@cert-authority"
	Patterns []string // who shows it: "192.0.2.10", "[beta.example.net]:2222"
	Type     string   // "ssh-ed25519"
	Key      []byte   // in SSH's wire format
	Position yamldoc.Position
}

// readHostKeys reads hosts/<name>.pub, by the names of the hosts.
func readHostKeys(fsys fs.FS, problems *yamldoc.Report) (recipients map[string]string, signers map[string]sign.Public) {
	files, err := fs.ReadDir(fsys, fleet.HostDir)
	if err != nil {
		problems.AddRead(fleet.HostDir, err)
	}
	recipients, signers = map[string]string{}, map[string]sign.Public{}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".pub")
		if !ok || f.IsDir() {
			continue
		}
		content, err := fs.ReadFile(fsys, hostkey.Path(name))
		if err != nil {
			problems.AddRead(hostkey.Path(name), err)
			continue
		}
		if k := decodeHostKeys(hostkey.Path(name), content, problems); k.Recipient != "" {
			recipients[name], signers[name] = k.Recipient, k.Signer
		}
	}
	return recipients, signers
}

func decodeHostKeys(file string, content []byte, problems *yamldoc.Report) hostkey.Keys {
	k, line, err := hostkey.Parse(content)
	switch {
	case err == nil:
	case line == 0:
		problems.Add(yamldoc.Position{File: file}, "%v", err)
	default:
		problems.Add(yamldoc.Position{File: file, Line: line, Column: 1}, "%v", err)
	}
	return k
}

// readKnownHosts reads the pinned host keys; a missing file pins none.
func readKnownHosts(fsys fs.FS, problems *yamldoc.Report) []HostKey {
	content, err := fs.ReadFile(fsys, fleet.KnownHostsFile)
	if err != nil {
		problems.AddRead(fleet.KnownHostsFile, err)
		return nil
	}
	return decodeKnownHosts(fleet.KnownHostsFile, content, problems)
}

func decodeKnownHosts(file string, content []byte, problems *yamldoc.Report) []HostKey {
	var keys []HostKey
	for i, line := range lines(content) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		place := yamldoc.Position{File: file, Line: i + 1, Column: 1}
		key, err := parseHostKey(line)
		if err != nil {
			problems.Add(place, "%v", err)
			continue
		}
		key.Position = place
		keys = append(keys, key)
	}
	return keys
}

// readAuthorizedKeys reads the public keys that hosts let in, without comments and
// empty lines; a missing file lets in none.
func readAuthorizedKeys(fsys fs.FS, problems *yamldoc.Report) []string {
	content, err := fs.ReadFile(fsys, fleet.AuthorizedKeysFile)
	if err != nil {
		problems.AddRead(fleet.AuthorizedKeysFile, err)
		return nil
	}
	return decodeAuthorizedKeys(fleet.AuthorizedKeysFile, content, problems)
}

func decodeAuthorizedKeys(file string, content []byte, problems *yamldoc.Report) []string {
	var keys []string
	for i, line := range lines(content) {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		// the line without a host is what known_hosts has behind the host
		if _, err := parseHostKey("host " + line); err != nil {
			problems.Add(yamldoc.Position{File: file, Line: i + 1, Column: 1}, "no public key: %v", err)
			continue
		}
		keys = append(keys, line)
	}
	return keys
}

// readFleetSigners reads the fleet's signing keys; a missing file has none.
func readFleetSigners(fsys fs.FS, problems *yamldoc.Report) sign.Keys {
	content, err := fs.ReadFile(fsys, fleet.FleetSignersFile)
	if err != nil {
		problems.AddRead(fleet.FleetSignersFile, err)
		return nil
	}
	keys, err := sign.ParseSigners(content)
	if err != nil {
		problems.Add(yamldoc.Position{File: fleet.FleetSignersFile}, "%v", err)
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
			return k, errors.New("unknown marker " + k.Marker + suggest.DidYouMean(k.Marker, []string{"@revoked", "@cert-authority"}))
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

// unknownHosts returns the names of recipients that belong to no declared host.
func unknownHosts(recipients map[string]string, f *fleet.Fleet) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(recipients)) {
		if _, ok := f.Host(name); !ok {
			names = append(names, name)
		}
	}
	return names
}
