package app

import (
	"context"
	"errors"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
)

// committer commits for workflows. Without a Git remote a push does nothing.
type committer struct {
	app   *App
	whole bool               // what can't be pushed is taken back, whatever the reason
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
		return "", fault.WithHint(controlrepo.ErrDiverged, "the branch got commits while this ran; run the command again")
	}
	commit, err := c.app.git.CommitFiles(ctx, files, message)
	if err == nil && commit != head {
		c.app.commit, c.made, c.from = commit, commit, head
	}
	return string(commit), err
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
		c.made = ""
		return nil
	case c.made != "" && (c.whole || errors.Is(err, controlrepo.ErrDiverged)):
		undo := c.app.git.Uncommit(context.WithoutCancel(ctx), c.made)
		c.app.commit, c.made = c.from, ""
		return errors.Join(err, undo)
	}
	return err
}

// Published implements deploy.Repo.
func (c *committer) Published(ctx context.Context) (bool, error) {
	return c.app.git.Published(ctx)
}
