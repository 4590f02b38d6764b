package cli

import (
	"strings"
	"testing"
)

// TestAfterHostAdd: what comes next fits the host that was added.
func TestAfterHostAdd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		inUse, used bool
		want        string
	}{
		"projects run there":                {inUse: true, want: "salvor adopt alpha --observe"},
		"and stacks of Git name it already": {inUse: true, used: true, want: "salvor adopt alpha --observe"},
		"clean":                             {want: "put a Compose project below stacks/"},
	} {
		if got := afterAdd("alpha", c.inUse, c.used); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := afterAdd("alpha", false, true); got != "" {
		t.Errorf("a clean host that has stacks: %q", got)
	}
}
