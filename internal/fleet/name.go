package fleet

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`) // ValidName reports why name can't name a host, stack, remote or target, or
// nil. Names are identity: they become Compose project names, paths and tags.
func ValidName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is no name: use lower-case letters, digits, - and _, starting with a letter or digit", name)
}

// ValidHost reports why name can't name a host, or nil. The files of a host's stacks
// are in sealed/<host>; sealed/recovery has those by which snapshots are opened.
func ValidHost(name string) error {
	if name == "recovery" {
		return fmt.Errorf("%q can't name a host: sealed/recovery has the passwords of snapshots", name)
	}
	return ValidName(name)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}

// ValidRemotePath accepts a clean relative path, so that nothing Salvor writes
// leaves the folder it was given and two spellings never name one place.
func ValidRemotePath(v string) error {
	if v == "" || v != path.Clean(v) || strings.HasPrefix(v, "/") || v == ".." || strings.HasPrefix(v, "../") {
		return fmt.Errorf("%q is no path on a remote: write it like salvor/record", v)
	}
	return nil
}
