package lockfile

import (
	"bytes"
	"testing"

	"salvor/internal/yamldoc"
)

// FuzzLock proves that what is refused has a place in the file, and that what is read is
// written as the same bytes again and again.
func FuzzLock(f *testing.F) {
	for _, archive := range bad(f) {
		f.Add(archive.Files[0].Data)
	}
	f.Add([]byte(sorted))
	f.Add([]byte(`{"schema":1,"stacks":{"a":{"host":"b","epoch":1,"repositories":{"t":"b"},"former":{"t":["a"]},"images":{"s":"x@sha256:0"},"volumes":{"v":{"born":"2026-01-02T03:04:05Z"}}}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		lock, err := Decode(content)
		for _, p := range yamldoc.Problems(err) {
			if p.Position.File != Name || p.Position.Line < 0 || p.Position.Line > bytes.Count(content, []byte("\n"))+1 || p.Text == "" {
				t.Errorf("a problem at %v: %q", p.Position, p.Text)
			}
		}
		if err != nil {
			if len(yamldoc.Problems(err)) == 0 {
				t.Errorf("no problem in %v", err)
			}
			return
		}
		if _, err := Known(content); err != nil {
			t.Errorf("a host cannot read it: %v", err)
		}
		once, err := Encode(lock)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice, err := Encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("not deterministic: %v", err)
		}
	})
}
