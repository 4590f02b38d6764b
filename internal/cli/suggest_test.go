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
		"docs": "help", "dwon": "down", "rm": "", "up2": "", "restor": "restore", "aply": "apply",
		"restoer": "restore", "mvoe": "move", "roll": "", "resto": "", "stat": "status", "sta": "", "cat": "", "log": "logs", "cover": "", "kay": "", "plan2": "plan",
		"top": "ps", "ls": "status", "plna": "plan", "statsu": "status", "chekc": "check", "backup": "snapshot take",
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
	if got := suggest(host, "rn"); got != "" {
		t.Errorf("host rn is answered with %q", got)
	}
	for other, path := range map[string]string{"host rm": "host remove", "host delete": "host remove", "hosts list": "host ls", "secrets list": "secret ls", "snapshots ls": "snapshot ls"} {
		if found, _, err := root.Find(strings.Fields(other)); err != nil || found.CommandPath() != "salvor "+path {
			t.Errorf("%s is %v, want %s: %v", other, found.CommandPath(), path, err)
		}
	}
}
