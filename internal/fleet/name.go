package fleet

import (
	"fmt"
	"regexp"
	"slices"
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidName reports why name can't name a host, stack, remote or target, or
// nil. Names are identity: they become Compose project names, paths and tags.
func ValidName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fmt.Errorf("%q is not a name: use lower-case letters, digits, - and _, starting with a letter or digit", name)
}

// ValidHost reports why name can't name a host, or nil. The files of a host's stacks
// are in sealed/<host>; sealed/recovery has those by which snapshots are opened.
func ValidHost(name string) error {
	if name == "recovery" {
		return fmt.Errorf("%q can't be the name of a host: sealed/recovery has the passwords of snapshots", name)
	}
	return ValidName(name)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
