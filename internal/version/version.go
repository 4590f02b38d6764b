// Package version says which Salvor this is, and which of two builds replaces the other on
// a host. Both programs of one build carry the same version.
package version

import (
	"cmp"
	"strconv"
	"strings"
)

// number is the release; build is set by `make build` (scripts/version): when the sources
// were last changed, and a hash of them.
var (
	number = "0.1.0"
	build  = "dev"
)

// String returns the version, "0.1.0+20261129074500.1a2b3c4d5e6f", or "0.1.0+dev" of a
// program that was built without make.
func String() string { return number + "+" + build }

// Is reports whether a text is a version, as String returns it.
func Is(text string) bool {
	release, _, built := strings.Cut(text, "+")
	return built && release != "" && strings.Count(release, ".") == 2 && strings.Trim(release, "0123456789.") == ""
}

// Older reports whether version a comes before version b: up to three numbers, what
// follows + or - does not count, so builds of one release are equal.
func Older(a, b string) bool { return compare(a, b) < 0 }

// Replaces reports whether the build own takes the place of the build there on a host: it
// is of a later release, or of the same one with sources as new or newer. A build without
// a time replaces others and is replaced by them: only developers make one.
func Replaces(own, there string) bool {
	if own == there {
		return false
	}
	if order := compare(own, there); order != 0 {
		return order > 0
	}
	mine, theirs := stamp(own), stamp(there)
	return mine == "" || theirs == "" || mine >= theirs
}

// compare orders releases.
func compare(a, b string) int {
	x, y := numbers(a), numbers(b)
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
}

func numbers(version string) (n [3]int) {
	if i := strings.IndexAny(version, "+-"); i >= 0 {
		version = version[:i]
	}
	for i, part := range strings.SplitN(version, ".", 3) {
		v, err := strconv.Atoi(part)
		if err != nil {
			return n
		}
		n[i] = v
	}
	return n
}

// stampLength is that of a time as 20261129074500.
const stampLength = 14

// stamp returns when the sources of a build were last changed, "" where it does not say.
// Stamps compare as text.
func stamp(version string) string {
	_, build, _ := strings.Cut(version, "+")
	at, _, hashed := strings.Cut(build, ".")
	if !hashed || len(at) != stampLength || strings.Trim(at, "0123456789") != "" {
		return ""
	}
	return at
}
