package stack

import (
	"strings"
	"testing"
)

// TestLogsAreClean is fault D22: each line of `salvor logs` through a pipe began
// with ESC[2K.
func TestLogsAreClean(t *testing.T) {
	const logged = "\x1b[2Kapp-1  | one\n\x1b[2Kapp-1  | \x1b[31mred\x1b[0m\x1b[2K\n\x1b[32mkept\n"
	const want = "app-1  | one\napp-1  | \x1b[31mred\x1b[0m\x1b[2K\n\x1b[32mkept\n"
	for size := 1; size <= len(logged); size++ {
		var out strings.Builder
		c := cleanLines(&out)
		for rest := logged; rest != ""; {
			n := min(size, len(rest))
			if _, err := c.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q", size, out.String())
		}
	}
}
