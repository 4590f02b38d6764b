package git

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fault"
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

// TestTheFirstPushSetsTheUpstream is stumble 17: `git pull` and `git push` did not know
// from where and to where.
func TestTheFirstPushSetsTheUpstream(t *testing.T) {
	a, b, _ := clones(t)
	if _, err := b.CommitFiles(t.Context(), map[string][]byte{"from-b": []byte("x")}, "x"); err != nil {
		t.Fatal(err)
	}
	if err := b.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	if follows, err := a.Follows(t.Context()); err != nil || !follows {
		t.Fatalf("%v, %v", follows, err)
	}
	git(t, a.dir, "pull", "--quiet", "--ff-only")
	if _, err := os.Stat(filepath.Join(a.dir, "from-b")); err != nil {
		t.Error(err)
	}
	git(t, a.dir, "branch", "--unset-upstream")
	if follows, err := a.Follows(t.Context()); err != nil || follows {
		t.Errorf("%v, %v", follows, err)
	}
}

// TestWhoCommits is read as git itself would say it.
func TestWhoCommits(t *testing.T) {
	needGit(t)
	if who, err := Operator(t.Context(), here{}, t.TempDir(), environ()); err != nil || who != "Test <test@example.net>" {
		t.Errorf("%q, %v", who, err)
	}
	unknown := []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME=" + t.TempDir(), "EMAIL=", "GIT_COMMITTER_NAME="}
	if who, err := Operator(t.Context(), here{}, t.TempDir(), unknown); err == nil || fault.Hint(err) == "" {
		t.Errorf("%q, %v", who, err)
	}
	if v, err := Version(t.Context(), here{}, environ()); err != nil || !strings.Contains(v, ".") {
		t.Errorf("%q, %v", v, err)
	}
}

// TestTheUpstreamIsThatOfTheBranch, whatever other branches follow, and is found with two
// starts of git: a plan asks for it several times.
func TestTheUpstreamIsThatOfTheBranch(t *testing.T) {
	a, dir := newRepo(t)
	git(t, dir, "remote", "add", "origin", "/nonexistent")
	git(t, dir, "remote", "add", "other", "/nonexistent")
	for _, test := range []struct {
		branch   string
		settings map[string]string
		want     Upstream
	}{
		{"main", nil, Upstream{"origin", "main"}},
		{"v1.x/Next", map[string]string{"branch.v1.x/Next.remote": "other", "branch.v1.x/Next.merge": "refs/heads/next", "branch.v1.x/next.remote": "origin", "branch.v1+x/Next.remote": "origin"}, Upstream{"other", "next"}},
		{"half", map[string]string{"branch.half.merge": "refs/heads/main"}, Upstream{"origin", "half"}},
		{"local", map[string]string{"branch.local.remote": ".", "branch.local.merge": "refs/heads/main"}, Upstream{"origin", "main"}},
	} {
		for key, value := range test.settings {
			git(t, dir, "config", key, value)
		}
		git(t, dir, "symbolic-ref", "HEAD", "refs/heads/"+test.branch)
		starts := 0
		got, err := a.Upstream(machine.WithTrace(t.Context(), func(machine.Ran) { starts++ }))
		if err != nil || got != test.want {
			t.Errorf("%s: %+v, %v, want %+v", test.branch, got, err, test.want)
		}
		if test.want.Remote == test.settings["branch."+test.branch+".remote"] && starts > 2 {
			t.Errorf("%s: git was started %d times", test.branch, starts)
		}
	}
}
