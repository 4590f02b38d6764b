package cli

import (
	"fmt"
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

// TestParseHost: IPv6 may be written as in front of a port.
func TestParseHost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.1": "root 192.0.2.1 22", "ops@a.example.net:2222": "ops a.example.net 2222", "2001:db8::1": "root 2001:db8::1 22",
		"root@[2001:db8::1]": "root 2001:db8::1 22", "root@[fe80::1%eth0]:2222": "root fe80::1%eth0 2222",
	} {
		h, err := parseHost("alpha", text)
		if got := fmt.Sprintf("%s %s %d", h.User, h.Address, h.Port); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}
