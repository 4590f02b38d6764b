package method

import (
	"errors"
	"fmt"
	"strings"
)

// ErrDiffers is wrapped by errors that mean: what was loaded is not what the
// dump was taken of.
var ErrDiffers = errors.New("loaded data differs from the dump")

// SameLines compares the lines of two texts, in any order; an error wraps ErrDiffers.
func SameLines(is, want string) error {
	left := map[string]int{}
	for line := range strings.SplitSeq(want, "\n") {
		left[line]++
	}
	for line := range strings.SplitSeq(is, "\n") {
		if left[line]--; left[line] < 0 {
			return fmt.Errorf("%w: %q is there but was not in the dump", ErrDiffers, line)
		}
	}
	for line, n := range left {
		if n > 0 {
			return fmt.Errorf("%w: %q is missing", ErrDiffers, line)
		}
	}
	return nil
}
