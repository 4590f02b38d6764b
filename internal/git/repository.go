// Package git is the operator's Git: one clone of the control repository, on which it
// works by the operator's own git program. It commits next to other work, pushes,
// fetches, and exports the files of a commit. What the files mean is for others.
package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// What callers of Git branch on.
var (
	// ErrNoGit means that a folder is not a Git repository, or not its root.
	ErrNoGit = errors.New("no Git repository")
	// ErrUnborn means that the branch has no commit yet.
	ErrUnborn = errors.New("no commit yet")
	// ErrDetached means that HEAD is on no branch.
	ErrDetached = errors.New("HEAD is not on a branch")
	// ErrNoRemote means that the repository has no Git remote.
	ErrNoRemote = errors.New("no Git remote")
	// ErrDiverged means that someone else was faster: the remote has, or the branch
	// got, commits that this one does not descend from.
	ErrDiverged = errors.New("the branch has new commits")
	// ErrGitAway means that the Git host did not answer, or not to us.
	ErrGitAway = errors.New("Git host does not answer") //nolint:staticcheck // Git is a name
	// ErrUncommitted means that a file to be committed has uncommitted changes of
	// someone else.
	ErrUncommitted = errors.New("uncommitted changes")
)

// Times after which git is given up: on this machine, and over a network.
const (
	localTimeout  = time.Minute
	remoteTimeout = 2 * time.Minute
)

var commitPattern = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Commit is the full id of a commit in hexadecimal.
type Commit string

// ParseCommit returns the commit with that full id.
func ParseCommit(id string) (Commit, error) {
	if !commitPattern.MatchString(id) {
		return "", fmt.Errorf("%q is not a full commit id", id)
	}
	return Commit(id), nil
}

// Short returns the first seven digits, for people.
func (c Commit) Short() string { return string(c[:min(7, len(c))]) }

// A Repository is the Git repository of a control repository, worked on by the operator's own
// git, so that their SSH configuration, credential helpers and signing keys
// apply. Git never asks a question: what would need one is an error.
type Repository struct {
	reader

	signers fleet.Signers          // of whom one must have signed Salvor's own commits, empty for anyone
	login   *atomic.Pointer[Login] // set while the Git host may be asked for news
}

// A reader asks one clone by the operator's git and changes nothing.
type reader struct {
	m     machine.Machine
	dir   string
	env   []string
	git   string // Git's own folder for this clone
	index string // that a commit under way has, "" for the usual one
}

// Open returns the Git repository whose root is dir, on the operator's
// machine m, which must not hand on its own environment. environ is the
// operator's, as os.Environ has it: git gets what it needs of it to reach a Git
// host, and nothing that points it elsewhere.
// An error wraps ErrNoGit when dir is not the root of a Git repository.
func Open(ctx context.Context, m machine.Machine, dir string, environ []string) (*Repository, error) {
	g := &Repository{reader: reader{m: m, dir: dir, env: gitEnv(environ)}, login: new(atomic.Pointer[Login])}
	said, err := g.line(ctx, "rev-parse", "--absolute-git-dir", "--show-toplevel")
	if exitCode(err) == 128 && strings.Contains(stderrOf(err), "not a git repository") {
		return nil, fault.WithHint(fmt.Errorf("%w: %s", ErrNoGit, dir), "git init "+dir)
	} else if err != nil {
		return nil, fmt.Errorf("open Git repository: %w", err)
	}
	var top string
	g.git, top, _ = strings.Cut(said, "\n")
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	if abs, err := filepath.Abs(real); err != nil || abs != top {
		return nil, errors.Join(err, fmt.Errorf("%w: %s is inside another Git repository (%s); a control repository must be the root of its own", ErrNoGit, dir, top))
	}
	if err := g.trustPinned(ctx); err != nil {
		return nil, err
	}
	g.index = g.indexUnderWay(environ)
	return g, nil
}

// trustPinned has git's ssh know the host keys that the repository pins, too, so
// that a fresh clone reaches the Git host, and ask nothing: a question of a
// program in the background is never answered. The operator's own way to call ssh
// stays, and what it says of these options counts.
func (g *reader) trustPinned(ctx context.Context) error {
	ssh, err := g.config(ctx, "core.sshCommand")
	if err != nil || strings.ContainsAny(g.dir, `'"\`) {
		return err
	}
	asks := "-o BatchMode=yes "
	for _, kv := range g.env {
		switch name, value, _ := strings.Cut(kv, "="); name {
		case "GIT_SSH_COMMAND":
			ssh = value
		case "GIT_SSH":
			ssh = cmp.Or(ssh, "'"+strings.ReplaceAll(value, "'", `'\''`)+"'")
		case "SSH_ASKPASS":
			asks = "" // its window asks for a key's passphrase
		}
	}
	known := filepath.Join(g.dir, filepath.FromSlash(fleet.KnownHostsFile))
	g.env = append(g.env, fmt.Sprintf(`GIT_SSH_COMMAND=%s %s-o StrictHostKeyChecking=yes -o 'GlobalKnownHostsFile=/etc/ssh/ssh_known_hosts "%s"'`, cmp.Or(ssh, "ssh"), asks, known))
	return nil
}

// indexUnderWay returns the index that a hook is called for: `git commit -a` and
// `git commit FILE` make one of their own. One outside of this repository's Git
// folder is another's and is not looked at.
func (g *reader) indexUnderWay(environ []string) string {
	for _, kv := range environ {
		index, is := strings.CutPrefix(kv, "GIT_INDEX_FILE=")
		if !is || index == "" {
			continue
		}
		if !filepath.IsAbs(index) {
			index = filepath.Join(g.dir, index)
		}
		if rel, err := filepath.Rel(g.git, index); err == nil && filepath.IsLocal(rel) {
			return index
		}
	}
	return ""
}

// ofIndex runs a git command that reads the index of the commit under way.
func (g *reader) ofIndex(ctx context.Context, args ...string) (string, error) {
	cmd := g.command(args...)
	if g.index != "" {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "GIT_INDEX_FILE="+g.index)
	}
	return g.run(ctx, cmd)
}

// gitEnv picks what git needs from the operator's environment. Variables such
// as GIT_DIR or GIT_INDEX_FILE, which a hook of another repository inherits,
// would make git work elsewhere.
func gitEnv(environ []string) []string {
	wanted := []string{
		"SSH_AUTH_SOCK", "SSH_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM",
		"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL",
		"HOME", "PATH", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "GNUPGHOME",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO",
	}
	env := []string{"GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1", "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"}
	for _, kv := range environ {
		if name, _, _ := strings.Cut(kv, "="); slices.Contains(wanted, name) {
			env = append(env, kv)
		}
	}
	return env
}

// Head returns the commit that HEAD is on; ErrUnborn when there is none.
func (g *reader) Head(ctx context.Context) (Commit, error) {
	id, err := g.line(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if exitCode(err) == 1 {
		return "", fault.WithHint(ErrUnborn, "git commit")
	} else if err != nil {
		return "", err
	}
	return ParseCommit(id)
}

// Branch returns the branch that HEAD is on, also when it has no commit yet;
// ErrDetached when HEAD is on none.
func (g *reader) Branch(ctx context.Context) (string, error) {
	branch, err := g.line(ctx, "symbolic-ref", "--quiet", "--short", "HEAD")
	if exitCode(err) == 1 {
		return "", fault.WithHint(ErrDetached, "git switch main")
	}
	return branch, err
}

// A Change is one path with uncommitted changes.
type Change struct {
	Path   string
	Status string // two letters as `git status --short` prints them: index, working tree
}

// Status returns the paths with uncommitted changes, untracked files included.
func (g *reader) Status(ctx context.Context) ([]Change, error) {
	out, err := g.output(ctx, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
	if err != nil {
		return nil, err
	}
	var all []Change
	for _, record := range splitZero(out) {
		if len(record) > 3 {
			all = append(all, Change{Path: record[3:], Status: record[:2]})
		}
	}
	return all, nil
}

// IsAncestor reports whether a is b or is behind it. Both must be known here.
func (g *reader) IsAncestor(ctx context.Context, a, b Commit) (bool, error) {
	_, err := g.output(ctx, "merge-base", "--is-ancestor", string(a), string(b))
	if exitCode(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// has reports whether the commit is known here.
func (g *reader) has(ctx context.Context, c Commit) bool {
	_, err := g.output(ctx, "cat-file", "-e", string(c)+"^{commit}")
	return err == nil
}

func (g *reader) command(args ...string) machine.Cmd {
	argv := append([]string{"git", "--no-replace-objects", "-c", "core.quotePath=false", "-c", "advice.detachedHead=false"}, args...)
	return machine.Cmd{Argv: argv, Env: g.env, Dir: g.dir, Timeout: localTimeout}
}

func (g *reader) run(ctx context.Context, c machine.Cmd) (string, error) {
	out, err := g.m.Run(ctx, c)
	return string(out.Stdout), err
}

func (g *reader) output(ctx context.Context, args ...string) (string, error) {
	return g.run(ctx, g.command(args...))
}

// line returns the one line that a command prints.
func (g *reader) line(ctx context.Context, args ...string) (string, error) {
	out, err := g.output(ctx, args...)
	return strings.TrimRight(out, "\r\n"), err
}

func splitZero(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == 0 })
}

// exitCode returns the code that a program ended with: 0 for none.
func exitCode(err error) int {
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 0
}

func stderrOf(err error) string {
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
