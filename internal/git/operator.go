package git

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/machine"
)

// errNobody is the error of a git that can't say whose a commit is.
func errNobody() error {
	return fault.WithHint(errors.New("git does not know who you are"), `git config --global user.name "Your Name" && git config --global user.email you@example.net`)
}

// isNobody recognises git's own words for that.
func isNobody(err error) bool {
	said := stderrOf(err)
	return strings.Contains(said, "dentity unknown") || strings.Contains(said, "ident name")
}

// Version returns the operator's git: "2.47.3".
func Version(ctx context.Context, m machine.Machine, environ []string) (string, error) {
	out, err := outside(m, os.TempDir(), environ).line(ctx, "--version")
	if exitCode(err) == 127 {
		return "", fault.WithHint(errors.New("git is not installed"), "apt install git, or on macOS xcode-select --install")
	}
	return strings.TrimPrefix(out, "git version "), err
}

// Operator returns whose commits git makes in a folder: "NAME <EMAIL>".
func Operator(ctx context.Context, m machine.Machine, dir string, environ []string) (string, error) {
	ident, err := outside(m, dir, environ).line(ctx, "var", "GIT_COMMITTER_IDENT")
	switch {
	case isNobody(err):
		return "", errNobody()
	case err != nil:
		return "", fmt.Errorf("ask git who commits: %w", err)
	}
	if at := strings.LastIndexByte(ident, '>'); at >= 0 {
		ident = ident[:at+1] // the time follows
	}
	return ident, nil
}

// MayCommit returns an error if git will not know whose the commits are in a folder, which
// need not be there yet.
func MayCommit(ctx context.Context, m machine.Machine, dir string, environ []string) error {
	for !isFolder(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	_, err := Operator(ctx, m, dir, environ)
	if err == nil {
		return nil
	}
	conditions, asked := outside(m, dir, environ).line(ctx, "config", "--name-only", "--get-regexp", `^includeif\.`)
	if asked == nil && conditions != "" {
		return nil // the name may be that of the folder
	}
	return err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// outside asks git in any folder.
func outside(m machine.Machine, dir string, environ []string) *reader {
	return &reader{m: m, dir: dir, env: gitEnv(environ)}
}

// Follows reports whether `git pull` and `git push` know from where and to where.
func (g *reader) Follows(ctx context.Context) (bool, error) {
	branch, err := g.Branch(ctx)
	if err != nil {
		return false, err
	}
	_, merge, err := g.followed(ctx, branch)
	return merge != "", err
}

// follow has the current branch follow what it is pushed to, where it follows nothing.
func (g *Repository) follow(ctx context.Context, u Upstream) error {
	follows, err := g.Follows(ctx)
	if err != nil || follows {
		return err
	}
	branch, err := g.Branch(ctx)
	if err != nil {
		return err
	}
	for key, value := range map[string]string{"remote": u.Remote, "merge": "refs/heads/" + u.Branch} {
		if _, err := g.output(ctx, "config", "branch."+branch+"."+key, value); err != nil {
			return fmt.Errorf("set the upstream of %s: %w", branch, err)
		}
	}
	return nil
}
