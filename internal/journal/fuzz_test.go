package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// FuzzTail reads what a power cut or a stranger left in the journal: never a
// panic, and never more than was asked for.
func FuzzTail(f *testing.F) {
	for _, seed := range []string{"", "\n", "{}\n", `{"schema":1,"kind":"apply","time":"2026-11-23T12:00:00Z"}` + "\n", `{"schema":1,"ki`, "\x00\x00\x00", "[1]\n{}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		j := Journal{Dir: t.TempDir()}
		file := j.file(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if entries, err := j.Tail(2); err == nil && len(entries) > 2 {
			t.Errorf("%d entries of 2", len(entries))
		}
	})
}
