// Package version says which Salvor this is. Both programs of one build carry the
// same version, so that salvor knows whether a host runs its salvord.
package version

import (
	"cmp"
	"strconv"
	"strings"
)

// number is the release; build is set by `make build` to a hash of the sources.
var (
	number = "0.1.0"
	build  = "dev"
)

// String returns the version, "0.1.0+<build>".
func String() string { return number + "+" + build }

// Older reports whether version a comes before version b: up to three numbers, what
// follows + or - does not count, so builds of one release are equal.
func Older(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2])) < 0
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
