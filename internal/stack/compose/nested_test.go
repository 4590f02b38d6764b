package compose

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/finding"
)

// TestS31AMountBelowAWritableOneIsAFinding that names both mounts.
func TestS31AMountBelowAWritableOneIsAFinding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ outer, inner, want string }{
		"below a writable one":  {"./data:/data", "./data/sub:/sub", "./data/sub is mounted into b, but a can replace it"},
		"a file below":          {"./data:/data", "./data/a.db:/a.db:ro", "./data/a.db is mounted into b"},
		"absolute":              {"/srv/media:/m", "/srv/media/photos:/p", "/srv/media/photos is mounted into b"},
		"below a read-only one": {"./data:/data:ro", "./data/sub:/sub", ""},
		"beside":                {"./data:/data", "./data2:/sub", ""},
		"the same":              {"./data:/data", "./data:/sub", ""},
		"below the host's own":  {"/run/docker.sock:/run/docker.sock", "./data:/sub", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := t.TempDir()
			content := "services:\n  a:\n    image: x\n    volumes: [\"" + c.outer + "\"]\n  b:\n    image: x\n    volumes: [\"" + c.inner + "\"]\n"
			policies := "volumes:\n- {volume: /srv/media, protect: none}\n- {volume: /srv/media/photos, protect: none}\n"
			if name != "absolute" {
				policies = ""
			}
			err := errors.Join(os.MkdirAll(filepath.Join(repo, "stacks/app"), 0o755),
				os.WriteFile(filepath.Join(repo, "stacks/app/compose.yaml"), []byte(content), 0o600), os.WriteFile(filepath.Join(repo, "stack.yaml"), []byte(policies), 0o600))
			if err != nil {
				t.Fatal(err)
			}
			_, found, err := Load(t.Context(), corpusStack(t, repo))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, f := range found {
				if f.Code == finding.MountNested {
					said = append(said, f.Text)
				}
			}
			if text := strings.Join(said, "\n"); c.want == "" && text != "" || !strings.HasPrefix(text, c.want) {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
