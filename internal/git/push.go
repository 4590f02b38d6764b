package git

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fault"
)

// An Upstream is where a branch is pushed to and fetched from.
type Upstream struct {
	Remote string // Git's name for it: "origin"
	Branch string // at the remote
}

// Upstream returns what the current branch follows; without a setting, the
// branch of the same name at origin, or at the only remote. ErrNoRemote when
// there is none.
func (g *reader) Upstream(ctx context.Context) (Upstream, error) {
	branch, err := g.Branch(ctx)
	if err != nil {
		return Upstream{}, err
	}
	remote, merge, err := g.followed(ctx, branch)
	if err != nil {
		return Upstream{}, err
	}
	u := Upstream{Remote: remote, Branch: branch}
	if name, ok := strings.CutPrefix(merge, "refs/heads/"); ok && u.Remote != "" {
		u.Branch = name
	}
	if u.Remote == "" || u.Remote == "." {
		u.Remote, err = g.onlyRemote(ctx)
	}
	return u, err
}

// followed returns the remote and the ref there that a branch is set to follow, "" for
// what is not set.
func (g *reader) followed(ctx context.Context, branch string) (remote, merge string, err error) {
	out, err := g.output(ctx, "config", "-z", "--get-regexp", `^branch\..*\.(remote|merge)$`)
	if exitCode(err) == 1 {
		return "", "", nil
	} else if err != nil {
		return "", "", err
	}
	for _, setting := range splitZero(out) {
		switch key, value, _ := strings.Cut(setting, "\n"); key {
		case "branch." + branch + ".remote":
			remote = value
		case "branch." + branch + ".merge":
			merge = value
		}
	}
	return remote, merge, nil
}

// URL returns where a remote is, by the operator's settings for pushing.
func (g *reader) URL(ctx context.Context, remote string) (string, error) {
	return g.line(ctx, "remote", "get-url", "--push", remote)
}

func (g *reader) onlyRemote(ctx context.Context) (string, error) {
	out, err := g.output(ctx, "remote")
	if err != nil {
		return "", err
	}
	switch names := strings.Fields(out); {
	case len(names) == 0:
		return "", fault.WithHint(ErrNoRemote, "git remote add origin URL")
	case slices.Contains(names, "origin"):
		return "origin", nil
	case len(names) == 1:
		return names[0], nil
	default:
		return "", fault.WithHint(fmt.Errorf("%w is chosen among %s", ErrNoRemote, strings.Join(names, ", ")), "git branch --set-upstream-to=REMOTE/BRANCH")
	}
}

// AddRemote makes url the repository's remote "origin".
func (g *Repository) AddRemote(ctx context.Context, url string) error {
	if _, err := g.output(ctx, "remote", "add", "--", "origin", url); err != nil {
		return fmt.Errorf("add the Git remote: %w", err)
	}
	return nil
}

// config returns a setting, "" when it is not set.
func (g *reader) config(ctx context.Context, key string) (string, error) {
	value, err := g.line(ctx, "config", "--get", key)
	if exitCode(err) == 1 {
		return "", nil
	}
	return value, err
}

// Fetch brings the commits of the upstream branch here and returns its newest;
// ErrUnborn when the remote has no such branch yet, ErrGitAway when it did not
// answer. It changes no branch and no file.
func (g *Repository) Fetch(ctx context.Context) (Commit, error) {
	u, err := g.Upstream(ctx)
	if err != nil {
		return "", err
	}
	tip, err := g.remoteTip(ctx, u, true)
	if err != nil {
		return "", err
	}
	cmd := g.command("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", u.Remote,
		"+refs/heads/"+u.Branch+":refs/remotes/"+u.Remote+"/"+u.Branch)
	if _, err := g.reaching(ctx, u.Remote, cmd, true); err != nil {
		return "", fmt.Errorf("fetch from %s: %w: %w", u.Remote, ErrGitAway, err)
	}
	if !g.has(ctx, tip) {
		return "", fmt.Errorf("fetch from %s: commit %s was not received", u.Remote, tip.Short())
	}
	return tip, nil
}

// Behind asks the remote whether its branch has commits that HEAD does not have. Nothing
// is fetched; without a remote, or a branch there, it has none.
func (g *Repository) Behind(ctx context.Context) (bool, error) {
	u, err := g.Upstream(ctx)
	if errors.Is(err, ErrNoRemote) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	tip, err := g.remoteTip(ctx, u, false)
	if errors.Is(err, ErrUnborn) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	head, err := g.Head(ctx)
	if err != nil || !g.has(ctx, tip) {
		return err == nil, err
	}
	has, err := g.IsAncestor(ctx, tip, head)
	return !has && err == nil, err
}

// remoteTip asks the remote for its branch's commit; see Login for ask.
func (g *Repository) remoteTip(ctx context.Context, u Upstream, ask bool) (Commit, error) {
	cmd := g.command("ls-remote", "--exit-code", u.Remote, "refs/heads/"+u.Branch)
	out, err := g.reaching(ctx, u.Remote, cmd, ask)
	if exitCode(err) == 2 {
		return "", fmt.Errorf("branch %s at %s: %w", u.Branch, u.Remote, ErrUnborn)
	} else if err != nil {
		return "", fmt.Errorf("ask %s: %w: %w", u.Remote, ErrGitAway, err)
	}
	id, _, _ := strings.Cut(out, "\t")
	return ParseCommit(id)
}

// Push publishes HEAD to the upstream branch, as a fast-forward only: this is the
// compare-and-swap of placements, exactly one of several wins. ErrDiverged means that
// someone else did, ErrGitAway that the Git host did not answer, ErrNoRemote that
// there is no remote. From the first push on, `git pull` and `git push` know where. It
// may be called again.
func (g *Repository) Push(ctx context.Context) error {
	head, err := g.Head(ctx)
	if err != nil {
		return err
	}
	u, err := g.Upstream(ctx)
	if err != nil {
		return err
	}
	cmd := g.command("push", "--porcelain", u.Remote, string(head)+":refs/heads/"+u.Branch)
	out, err := g.reaching(ctx, u.Remote, cmd, true)
	if err != nil {
		err = g.explainPush(ctx, u, head, out, err)
	}
	if err == nil {
		_ = g.follow(ctx, u) // what was pushed is pushed; the next push tries again
	}
	return err
}

// explainPush finds out what a push that ended with an error did, by asking the
// remote: the connection may have been lost after the branch had moved.
func (g *Repository) explainPush(ctx context.Context, u Upstream, head Commit, out string, pushErr error) error {
	tip, err := g.remoteTip(ctx, u, true)
	switch {
	case err == nil && tip == head:
		return nil
	case errors.Is(err, ErrUnborn), errors.Is(err, ErrGitAway):
		return fmt.Errorf("push to %s: %w", u.Remote, errors.Join(pushErr, err))
	case err != nil:
		return err
	}
	behind := false
	if g.has(ctx, tip) {
		if behind, err = g.IsAncestor(ctx, tip, head); err != nil {
			return err
		}
	}
	if !behind || lostRace(out) {
		return fault.WithHint(fmt.Errorf("push to %s: %w", u.Remote, ErrDiverged), u.CatchUp())
	}
	return fmt.Errorf("push to %s: %w", u.Remote, errors.Join(pushErr, refusal(out)))
}

// CatchUp is the hint for ErrDiverged. A placement that a killed run committed and
// another clone overtook ends in conflicts of sealed files: it is to be dropped.
func (u Upstream) CatchUp() string {
	return "git pull --rebase " + u.Remote + " " + u.Branch + ", then run the command again; if the rebase stops at a " +
		"commit made by salvor, drop it with git rebase --skip"
}

// lostRace recognises two pushes at one moment: the other's is not visible yet,
// but the server's lock on the branch was taken.
func lostRace(porcelain string) bool {
	for _, sign := range []string{"fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref", "incorrect old value"} {
		if strings.Contains(porcelain, sign) {
			return true
		}
	}
	return false
}

// refusal returns the reason in git's `!<tab>from:to<tab>reason` line, if any.
func refusal(porcelain string) error {
	for line := range strings.Lines(porcelain) {
		if rest, ok := strings.CutPrefix(line, "!\t"); ok {
			_, reason, _ := strings.Cut(strings.TrimSpace(rest), "\t")
			return errors.New(reason)
		}
	}
	return nil
}

// Published reports whether HEAD is what the upstream branch was when it was last
// seen from here; true without a remote. No one is asked: false may be wrong, and
// Push then finds out.
func (g *reader) Published(ctx context.Context) (bool, error) {
	head, err := g.Head(ctx)
	if err != nil {
		return false, err
	}
	seen, err := g.Tracked(ctx)
	return seen == head, err
}

// Tracked returns what the upstream branch was when it was last seen from here, ""
// when it never was; HEAD without a remote. No one is asked.
func (g *reader) Tracked(ctx context.Context) (Commit, error) {
	u, err := g.Upstream(ctx)
	if errors.Is(err, ErrNoRemote) {
		return g.Head(ctx)
	} else if err != nil {
		return "", err
	}
	seen, err := g.line(ctx, "rev-parse", "--verify", "--quiet", "refs/remotes/"+u.Remote+"/"+u.Branch)
	if exitCode(err) == 1 {
		return "", nil
	}
	return Commit(seen), err
}
