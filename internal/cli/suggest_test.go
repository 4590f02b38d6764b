package cli

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestSuggestionsDoNoHarm is fault D16: "restart" was answered with "salvor
// restore", "ps" with "salvor up", "docs" with "salvor down".
func TestSuggestionsDoNoHarm(t *testing.T) {
	root := newRoot(&globals{})
	for word, want := range map[string]string{
		"docs": "logs", "dwon": "", "rm": "", "up2": "up", "restor": "restore", "aply": "apply",
		"ls": "status", "top": "ps", "plna": "plan", "statsu": "status", "chekc": "check", "backup": "snapshot take",
	} {
		if got := suggest(root, word); got != want {
			t.Errorf("%s is answered with %q, want %q", word, got, want)
		}
	}
	for _, path := range slices.Concat(harmless, slices.Collect(maps.Values(habits))) {
		if found, _, err := root.Find(strings.Fields(path)); path != "--version" && (err != nil || found == root) {
			t.Errorf("%s: there is no such command: %v", path, err)
		}
	}
	host, _, err := root.Find([]string{"host"})
	if err != nil {
		t.Fatal(err)
	}
	if got := suggest(host, "rm"); got != "" {
		t.Errorf("host rm is answered with %q", got)
	}
}
