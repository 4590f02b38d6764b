package gitread_test

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/gitread"
)

// TestS10TheCopyOfTheRepositoryIsClosed: other users of the host can't read the
// control repository in its copy, also where an earlier release made that.
func TestS10TheCopyOfTheRepositoryIsClosed(t *testing.T) {
	t.Parallel()
	made, earlier := filepath.Join(t.TempDir(), "git"), filepath.Join(t.TempDir(), "git")
	if err := os.Mkdir(earlier, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{made, earlier} {
		if _, err := gitread.Open(dir, gitread.Source{URL: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}
