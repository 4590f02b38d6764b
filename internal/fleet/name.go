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
	return fmt.Errorf("%q is no name: use lower-case letters, digits, - and _, starting with a letter or digit", name)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
