package scan

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzScan plants a value anywhere in a file. Whatever becomes of the file, a
// leak has a place in it, and its text holds no part of the value.
func FuzzScan(f *testing.F) {
	const value = "Zq7w9XpL2mKv4"
	for _, name := range []string{"planted", "lookalikes"} {
		for path, content := range readCorpus(f, name).files {
			f.Add(path, content, len(content)/2)
		}
	}
	f.Add("stacks/a/compose.yaml", []byte("environment:\n  DB_PASSWORD: \n"), 28)
	f.Add("stacks/a/compose.yaml", []byte("a: &a {password: *a}\n"), 17)
	f.Add("stacks/a/.env", []byte("export DB_PASSWORD=''\n"), 20)
	f.Add("README.md", []byte("postgres://u:@db\n"), 13)
	s := newScanner(f)
	f.Fuzz(func(t *testing.T, path string, content []byte, at int) {
		at = max(0, min(at, len(content)))
		planted := bytes.Join([][]byte{content[:at], content[at:]}, []byte(value))
		lines := bytes.Count(planted, []byte("\n")) + 1
		previous := Leak{}
		for _, l := range s.Scan(path, planted) {
			if l.Line < 1 || l.Line > lines || l.Column < 1 || l.Text == "" || l.Rule == "" || strings.Contains(l.Text, "\n") {
				t.Errorf("%+v in a file of %d lines", l, lines)
			}
			if l.Line < previous.Line || l.Line == previous.Line && l.Column <= previous.Column {
				t.Errorf("%s after %s", l, previous)
			}
			previous = l
			for i := range len(value) - 7 {
				if strings.Contains(l.Text, value[i:i+8]) {
					t.Errorf("%q tells a part of the value", l.Text)
				}
			}
		}
	})
}
