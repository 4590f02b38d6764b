package git

import (
	"bufio"
	"bytes"
	"testing"
)

// FuzzObjects reads what git cat-file --batch prints, cut anywhere.
func FuzzObjects(f *testing.F) {
	f.Add([]byte("95d09f2b10159347eece71399a7e2e907ea3df4f blob 11\nhello world\n"))
	f.Add([]byte("HEAD:stacks/notes missing\n"))
	f.Add([]byte("95d09f2b blob -1\n"))
	f.Add([]byte("95d09f2b blob 9223372036854775807\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		from := bufio.NewReader(bytes.NewReader(out))
		for {
			o, err := readObject(from)
			if err != nil {
				return
			}
			if len(o.Content) > len(out) {
				t.Fatalf("%d bytes of %d", len(o.Content), len(out))
			}
		}
	})
}
