package app

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
)

// committer commits for workflows. Without a Git remote a push does nothing.
type committer struct {
	app   *App
	whole bool               // what can't be pushed is taken back, whatever the reason
	signs bool               // what hosts/ lacks of signatures is added
	made  controlrepo.Commit // committed and not pushed yet
	from  controlrepo.Commit // what made stands on
}

// Commit implements deploy.Repo.
func (c *committer) Commit(ctx context.Context, files map[string][]byte, message string) (string, error) {
	head, err := c.app.git.Head(ctx)
	if err != nil {
		return "", err
	}
	if head != c.app.commit {
		return "", fault.WithHint(controlrepo.ErrDiverged, "the branch received commits while this command ran; run it again")
	}
	if err := c.app.git.EnsureHook(ctx); err != nil {
		return "", err
	}
	files = c.app.renaming(files)
	if err := c.app.ownCommit(ctx, files); err != nil {
		return "", err // before the commit: what stands in none is taken off the ledger again
	}
	if files, err = c.withSignatures(ctx, files); err != nil {
		return "", err
	}
	commit, err := c.app.git.CommitFiles(ctx, files, message)
	if err == nil && commit != head {
		c.app.commit, c.made, c.from = commit, commit, head
	}
	return string(commit), err
}

// renaming adds to the files of a commit those that say the new names of hosts.
func (a *App) renaming(files map[string][]byte) map[string][]byte {
	all := maps.Clone(a.repo.Renaming)
	if len(all) == 0 {
		return files
	}
	maps.Copy(all, files)
	return all
}

// Push implements deploy.Repo. A commit of this run that lost the race is taken
// off the branch again: the operator's clone is as it was, and pulls.
func (c *committer) Push(ctx context.Context) error {
	if err := c.app.git.TakeBack(ctx); err != nil {
		return err
	}
	err := c.app.git.Push(ctx)
	switch {
	case err == nil, errors.Is(err, controlrepo.ErrNoRemote):
		c.app.pushed = c.app.pushed || c.made != ""
		c.made = ""
		return c.app.ownPublished(ctx)
	case c.made != "" && (c.whole || errors.Is(err, controlrepo.ErrDiverged)):
		undo := c.app.git.Uncommit(context.WithoutCancel(ctx), c.made)
		c.app.gone = nil
		c.app.commit, c.made = c.from, ""
		return errors.Join(err, undo)
	}
	return err
}

// Published implements deploy.Repo.
func (c *committer) Published(ctx context.Context) (bool, error) {
	return c.app.git.Published(ctx)
}

// Behind implements deploy.Repo.
func (c *committer) Behind(ctx context.Context) error {
	tip, err := c.app.git.Fetch(ctx)
	if errors.Is(err, controlrepo.ErrNoRemote) || errors.Is(err, controlrepo.ErrUnborn) {
		return nil
	}
	if err != nil {
		return err
	}
	ahead, err := c.app.git.IsAncestor(ctx, tip, c.app.commit)
	if err != nil || ahead {
		return err
	}
	u, err := c.app.git.Upstream(ctx)
	if err != nil {
		return err
	}
	return fault.WithHint(controlrepo.ErrDiverged, u.CatchUp())
}

// Uncommit implements deploy.Repo.
func (c *committer) Uncommit(ctx context.Context) (bool, error) {
	if c.made == "" {
		return false, nil
	}
	err := c.app.git.Uncommit(ctx, c.made)
	c.app.gone = nil
	c.app.commit, c.made = c.from, ""
	return err == nil, err
}

// CommitFiles commits files on top of the commit that was loaded and pushes. While
// the Git host is away the commit stays here, and the error says so.
func (a *App) CommitFiles(ctx context.Context, files map[string][]byte, message string) error {
	if len(files) == 0 {
		return nil
	}
	err := (&committer{app: a}).both(ctx, files, message)
	if errors.Is(err, controlrepo.ErrGitAway) {
		return fault.WithHint(fmt.Errorf("it is committed here as %s, but not pushed: %w", a.commit.Short(), err),
			"git push, once the Git host is back; if it is gone permanently: git remote set-url origin URL of a new one, then git push")
	}
	return err
}

// both commits and pushes files, with the Git host's key where it is not pinned yet.
func (c *committer) both(ctx context.Context, files map[string][]byte, message string) error {
	files, err := c.app.withGitHost(ctx, files)
	if err == nil {
		_, err = c.Commit(ctx, files, message)
	}
	if err != nil {
		return err
	}
	return c.Push(ctx)
}
