package project

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Reference returns the image that the service should run, given the lock's
// references by service: the one written where it names a digest, else the lock's for
// this very tag, else the one written. A service that the lock does not know yet,
// because it was renamed or added, gets the digest under which the stack's other
// services run the same tag. Images that are built have no digest.
func (s Service) Reference(locked map[string]string) string {
	if s.Build || Digested(s.Image) {
		return s.Image
	}
	if pinned, known := locked[s.Name]; known {
		if Tagged(pinned) == s.Image {
			return pinned
		}
		return s.Image
	}
	var same []string
	for _, pinned := range slices.Sorted(maps.Values(locked)) {
		if Tagged(pinned) == s.Image {
			same = append(same, pinned)
		}
	}
	if same = slices.Compact(same); len(same) == 1 {
		return same[0]
	}
	return s.Image
}

// Pinned reports whether the lock's references say what the service runs. It is
// false for one that runs something newer than the lock has learned.
func (s Service) Pinned(locked map[string]string) bool {
	return Digested(locked[s.Name]) && s.Reference(locked) == locked[s.Name]
}

// Digested reports whether a reference names exact content.
func Digested(ref string) bool { return strings.Contains(ref, "@") }

// Tagged is a reference without its digest.
func Tagged(ref string) string {
	tag, _, _ := strings.Cut(ref, "@")
	return tag
}

// Untagged is a reference without its tag; a port is not a tag.
func Untagged(ref string) string {
	dir, last := path.Split(ref)
	name, _, _ := strings.Cut(last, ":")
	return dir + name
}
