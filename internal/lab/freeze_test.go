package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resists stands in for the engine's command line: it refuses with each of these lines in
// turn, then obeys.
func resists(t *testing.T, refusals ...string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for i, line := range refusals {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".refusal"), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const script = "#!/bin/sh\nfor f in ${0%/*}/*.refusal; do test -e $f || exit 0; cat $f >&2; rm $f; exit 1; done\n"
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestAContainerThatResistsIsFrozenAnyway(t *testing.T) {
	const busy = "Cannot pause container d5d85511: OCI runtime pause failed: unable to freeze: unknown"
	resists(t, busy, busy)
	if err := freeze(t.Context(), "remote"); err != nil {
		t.Error(err)
	}
}

func TestNothingToFreezeIsSaidAtOnce(t *testing.T) {
	resists(t, "No such container: remote")
	if err := freeze(t.Context(), "remote"); err == nil || !strings.HasSuffix(err.Error(), "No such container: remote") || strings.Contains(err.Error(), "after") {
		t.Errorf("got %v", err)
	}
}
