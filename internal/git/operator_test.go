package git

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"salvor/internal/machine"
	"salvor/internal/machine/local"
)

// here is the machine that operators use, with an eye on what it runs.
type here struct {
	local.Machine
	before func(argv []string) // called before each program, nil for nothing
}

func (h here) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if h.before != nil {
		h.before(c.Argv)
	}
	return h.Machine.Run(ctx, c)
}

func environ() []string {
	return []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.net", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.net",
		"GIT_DIR=/nonexistent", "GIT_INDEX_FILE=/nonexistent", // as in a hook of another repository
	}
}

// needGit skips a test where git is missing, and fails it where the lab says
// that nothing may be skipped.
func needGit(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("git is not installed")
		}
		t.Skip("git is not installed")
	}
}

// git runs git in dir as an operator would.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := here{}.Run(t.Context(), machine.Cmd{Argv: append([]string{"git"}, args...), Dir: dir, Env: environ()[:7], Timeout: localTimeout})
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out.Stdout)
}
