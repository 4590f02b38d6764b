package adopt

import (
	"errors"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/memdir"
)

// TestNoSecretIsWrittenToADisk: where a computer has no folder in memory, a file that
// writes a secret out is refused before it is written.
func TestNoSecretIsWrittenToADisk(t *testing.T) {
	for content, refused := range map[string]bool{
		"services: {db: {image: postgres, environment: {POSTGRES_PASSWORD: Xk29fLq8vZr4Tn}}}\n": true,
		"services: {db: {image: postgres, environment: {POSTGRES_PASSWORD: \"${PW}\"}}}\n":      false,
	} {
		files := map[string][]byte{"stacks/notes/compose.yaml": []byte(content)}
		err := (&work{onDisk: true}).writable(files)
		if refused != (err != nil) || refused && (!errors.Is(err, memdir.ErrNone) || fault.Hint(err) == "") {
			t.Errorf("%s: %v", content, err)
		}
		if err := (&work{}).writable(files); err != nil {
			t.Errorf("in memory: %v", err)
		}
	}
}
