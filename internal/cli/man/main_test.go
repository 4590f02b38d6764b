package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPages are one for each command, the same each time, and none of a command that
// there is no longer.
func TestPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "salvor-frob.1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	read := func() map[string][]byte {
		t.Helper()
		if err := write(dir); err != nil {
			t.Fatal(err)
		}
		pages := map[string][]byte{}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if pages[filepath.Base(file)], err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		}
		return pages
	}
	first, second := read(), read()
	if len(first) < 40 || len(first) != len(second) || first["salvor-frob.1"] != nil {
		t.Errorf("%d and %d pages", len(first), len(second))
	}
	for name, page := range first {
		if !bytes.Equal(page, second[name]) {
			t.Errorf("%s differs the second time", name)
		}
	}
	apply := string(first["salvor-apply.1"])
	for _, want := range []string{".SH NAME", "salvor-apply", "--partial", ".SH EXAMPLE", "without the hosts that do not answer"} {
		if !strings.Contains(strings.ReplaceAll(apply, `\-`, "-"), want) {
			t.Errorf("salvor-apply.1 lacks %q:\n%s", want, apply)
		}
	}
}
