package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// TestS09AnotherDigestThanTheLocksIsSaid, with the one that runs.
func TestS09AnotherDigestThanTheLocksIsSaid(t *testing.T) {
	t.Parallel()
	const one, two = "@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	for name, c := range map[string]struct {
		written, locked string
		said            bool
	}{
		"another digest":         {"nginx:1.29" + two, "nginx:1.29" + one, true},
		"another tag and digest": {"nginx:1.30" + two, "nginx:1.29" + one, true},
		"the same":               {"nginx:1.29" + one, "nginx:1.29" + one, false},
		"the same without a tag": {"nginx" + one, "nginx:1.29" + one, false},
		"a tag alone":            {"nginx:1.29", "nginx:1.29" + one, false},
		"not in the lock":        {"nginx:1.29" + two, "", false},
	} {
		repo := t.TempDir()
		if err := os.MkdirAll(filepath.Join(repo, "stacks/app"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(repo, "stacks/app/compose.yaml"), []byte("services:\n  web:\n    image: "+c.written+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, found, err := Load(t.Context(), Options{RepoDir: repo, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}, Images: map[string]string{"web": c.locked}})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, f := range found {
			if f.Code == finding.ImageNotAsLocked {
				said = append(said, f.String())
			}
		}
		text := strings.Join(said, "\n")
		if !c.said && text != "" || c.said && (!strings.HasPrefix(text, "stacks/app/compose.yaml:3:5: web will run "+c.written) || !strings.Contains(text, c.locked)) {
			t.Errorf("%s: %q", name, text)
		}
	}
}
