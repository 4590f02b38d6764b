package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSourcesAreReadAndMapped(t *testing.T) {
	const list = `# a comment
deb http://mirror.invalid/debian bookworm main contrib
deb [arch=amd64 signed-by=/x] http://mirror.invalid/debian-security bookworm-security main
deb-src http://mirror.invalid/debian bookworm main
deb http://other.invalid/debian bookworm-backports main
deb http://other.invalid/apt stable main
`
	const deb822 = `Types: deb
# a comment
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main contrib

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main
`
	apt := t.TempDir()
	for name, content := range map[string]string{"sources.list": list, "sources.list.d/debian.sources": deb822, "sources.list.d/x.list.disabled": list} {
		path := filepath.Join(apt, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := readSources(apt)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range forRelease(all, "bookworm", "trixie") {
		got = append(got, s.String())
	}
	want := []string{
		"deb http://mirror.invalid/debian trixie main contrib",
		"deb http://mirror.invalid/debian-security trixie-security main",
		"deb http://mirror.invalid/debian trixie-updates main contrib",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzSources(f *testing.F) {
	f.Add("deb [arch=amd64 http://mirror.invalid/debian bookworm main\n")
	f.Add("deb [a]\nTypes: deb\nURIs: x\nSuites: y\n\nTypes:\n")
	f.Fuzz(func(t *testing.T, content string) {
		for _, s := range append(parseList(content), parseDeb822(content)...) {
			if s.suite == "" || s.uri == "" {
				t.Errorf("half a source: %+v", s)
			}
		}
	})
}

func TestOnlyLivingOwnersAreAlive(t *testing.T) {
	mine, err := owner()
	if err != nil {
		t.Fatal(err)
	}
	for label, want := range map[string]bool{
		mine:       true,
		mine + "0": false, // another boot
		"1-0-0":    false, // another process by that id
		kept:       false,
		"":         false,
	} {
		if got := alive(label); got != want {
			t.Errorf("alive(%q) = %v", label, got)
		}
	}
}
