package project

import (
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
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

// Lockable reports whether the lock may have a reference: it names content by SHA-256.
func Lockable(ref string) bool { return strings.Contains(ref, "@sha256:") }

// Tagged is a reference without its digest.
func Tagged(ref string) string {
	tag, _, _ := strings.Cut(ref, "@")
	return tag
}

// Digest is what a reference names its content by, "" for one that has only a tag.
func Digest(ref string) string {
	_, digest, _ := strings.Cut(ref, "@")
	return digest
}

// Repository is a reference without its tag and digest; a port is not a tag.
func Repository(ref string) string {
	ref = Tagged(ref)
	if at := strings.LastIndexByte(ref, ':'); at > strings.LastIndexByte(ref, '/') {
		return ref[:at]
	}
	return ref
}

// Home is a repository's full name, Docker Hub spelt out: "docker.io" and
// "library/nginx" of "nginx:1.27". Both are "" of what is not a reference.
func Home(ref string) (registry, repository string) {
	named, err := reference.ParseNormalizedNamed(Repository(ref))
	if err != nil {
		return "", ""
	}
	return reference.Domain(named), reference.Path(named)
}
