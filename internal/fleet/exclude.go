package fleet

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Caches says what snapshots do with folders of a volume that are marked as caches: those
// with a CACHEDIR.TAG (https://bford.info/cachedir/).
type Caches string

// What is done with caches. "" means left out.
const (
	KeepCaches  Caches = "keep"
	LeaveCaches Caches = "leave"
)

// An Omission is what snapshots leave out of a volume. The zero one leaves out nothing.
type Omission struct {
	Patterns []string // see CheckPattern
	Caches   bool     // what is in folders with a CACHEDIR.TAG, but for that file
}

// Equal reports whether two leave out the same.
func (o Omission) Equal(other Omission) bool {
	return o.Caches == other.Caches && slices.Equal(o.Patterns, other.Patterns)
}

// Matches reports whether a pattern is of a path in the volume. What is below a folder that
// is left out is left out with it, and need not be asked.
func (o Omission) Matches(rel string) bool {
	names := strings.Split(rel, "/")
	return rel != "." && slices.ContainsFunc(o.Patterns, func(p string) bool { return matchParts(PatternParts(p), names) })
}

// anyFolders is a part of a pattern that stands for any number of folders, none included.
const anyFolders = "**"

// PatternParts splits a pattern at its slashes, as a path from the volume's root: one without a
// slash is of names in any folder.
func PatternParts(pattern string) []string {
	if !strings.Contains(pattern, "/") {
		return []string{anyFolders, pattern}
	}
	return strings.Split(strings.TrimPrefix(pattern, "/"), "/")
}

// matchParts is what restic's filter does with the same pattern.
func matchParts(parts, names []string) bool {
	if len(parts) == 0 {
		return len(names) == 0
	}
	if parts[0] == anyFolders {
		return matchParts(parts[1:], names) || len(names) > 0 && matchParts(parts, names[1:])
	}
	if len(names) == 0 {
		return false
	}
	ok, err := path.Match(parts[0], names[0])
	return ok && err == nil && matchParts(parts[1:], names[1:])
}

// maxPattern bounds a pattern's length, and maxAny how often it may have "**".
const (
	maxPattern = 1024
	maxAny     = 2
)

// CheckPattern reports why a text is not a pattern of files. `*`, `?` and `[a-z]` are of one name, as in path.Match, `**`
// is any number of folders. With a slash it is a path from the volume's root, without one a name in any folder.
func CheckPattern(pattern string) error {
	switch {
	case pattern == "" || pattern == "/":
		return errors.New("an empty pattern leaves out nothing: remove it")
	case len(pattern) > maxPattern:
		return fmt.Errorf("a pattern has at most %d bytes", maxPattern)
	case strings.HasPrefix(pattern, "!"):
		return fmt.Errorf("%q: a pattern can't bring back what another leaves out; leave out less", pattern)
	case strings.HasSuffix(pattern, "/"):
		return fmt.Errorf("%q: write it without the slash at its end; a folder is left out with all that is in it", pattern)
	case strings.Contains(pattern, "$"):
		return fmt.Errorf("%q: Compose would take the $ for a variable; write ? in its place", pattern)
	case strings.TrimSpace(pattern) != pattern || strings.ContainsFunc(pattern, unicode.IsControl):
		return fmt.Errorf("%q: write ? for a space at an end, or a control character", pattern)
	}
	parts := PatternParts(pattern)
	wide := 0
	for i, part := range parts {
		switch _, err := path.Match(part, ""); {
		case err != nil:
			return fmt.Errorf("%q is not a pattern: %q has a [ without its ], or ends in a \\", pattern, part)
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("%q: write the path from the volume's root, without %q in it", pattern, part+"/")
		case part == anyFolders && i == len(parts)-1:
			return fmt.Errorf("%q: write * at the end in place of **; a folder is left out with all that is in it", pattern)
		case part == anyFolders:
			wide++
		}
	}
	if wide > maxAny {
		return fmt.Errorf("%q: a pattern has ** at most %d times", pattern, maxAny)
	}
	return nil
}
