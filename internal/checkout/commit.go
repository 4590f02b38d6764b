package checkout

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"salvor/internal/fault"
	"salvor/internal/git"
)

// Rules are what a checkout's commits keep to. Each may be nil, for none.
type Rules struct {
	// Complete adds to the files of a commit that is made for its own sake what it has
	// to have besides.
	Complete func(ctx context.Context, files map[string][]byte) (map[string][]byte, error)
	// Making is called with the files of a commit before it is made.
	Making func(ctx context.Context, files map[string][]byte) error
	// Sign adds the signatures of files that need one; missing ones of files that the
	// commit does not change, too, if all.
	Sign func(ctx context.Context, files map[string][]byte, all bool) (map[string][]byte, error)
	// Published is called when all commits are where others see them.
	Published func(ctx context.Context) error
	// TakenBack is called when commits that were made are off the branch again.
	TakenBack func()
}

// A Committer commits for one workflow. Without a Git remote a push does nothing.
type Committer struct {
	checkout *Checkout
	whole    bool       // what can't be pushed is taken back, whatever the reason
	signs    bool       // what hosts/ lacks of signatures is added
	made     git.Commit // committed and not pushed yet
	from     git.Commit // the commit that made builds on
	runs     []string   // files that are executable if they are new
}

// Committer returns one for a workflow of several commits, see deploy.Repo. If signs,
// its commits also have the signatures that files lack which they don't change.
func (c *Checkout) Committer(signs bool) *Committer { return &Committer{checkout: c, signs: signs} }

// Commit implements deploy.Repo.
func (c *Committer) Commit(ctx context.Context, files map[string][]byte, message string) (string, error) {
	on := c.checkout
	head, err := on.Git.Head(ctx)
	if err != nil {
		return "", err
	}
	if head != on.Commit {
		return "", fault.WithHint(git.ErrDiverged, "the branch received commits while this command ran; run it again")
	}
	if _, err := on.Git.EnsureHook(ctx); err != nil {
		return "", err
	}
	files = on.renaming(files)
	if on.Rules.Making != nil {
		if err := on.Rules.Making(ctx, files); err != nil {
			return "", err
		}
	}
	if on.Rules.Sign != nil {
		if files, err = on.Rules.Sign(ctx, files, c.signs); err != nil {
			return "", err
		}
	}
	commit, err := on.Git.CommitFiles(ctx, files, message, c.runs...)
	if err == nil && commit != head {
		on.Commit, c.made, c.from = commit, commit, head
	}
	return string(commit), err
}

// renaming adds to the files of a commit those that say the new names of hosts.
func (c *Checkout) renaming(files map[string][]byte) map[string][]byte {
	all := maps.Clone(c.Renaming)
	if len(all) == 0 {
		return files
	}
	maps.Copy(all, files)
	return all
}

// Push implements deploy.Repo. A commit of this run that lost the race is taken
// off the branch again: the operator's clone is as it was, and pulls.
func (c *Committer) Push(ctx context.Context) error {
	on := c.checkout
	if err := on.Git.TakeBack(ctx); err != nil {
		return err
	}
	err := on.Git.Push(ctx)
	switch {
	case err == nil, errors.Is(err, git.ErrNoRemote):
		on.pushed = on.pushed || c.made != ""
		c.made = ""
		if on.Rules.Published == nil {
			return nil
		}
		return on.Rules.Published(ctx)
	case c.made != "" && (c.whole || errors.Is(err, git.ErrDiverged)):
		return errors.Join(err, c.takeBack(context.WithoutCancel(ctx)))
	}
	return err
}

// takeBack takes the last commit off the branch again.
func (c *Committer) takeBack(ctx context.Context) error {
	err := c.checkout.Git.Uncommit(ctx, c.made)
	if c.checkout.Rules.TakenBack != nil {
		c.checkout.Rules.TakenBack()
	}
	c.checkout.Commit, c.made = c.from, ""
	return err
}

// Published implements deploy.Repo.
func (c *Committer) Published(ctx context.Context) (bool, error) {
	return c.checkout.Git.Published(ctx)
}

// Behind implements deploy.Repo.
func (c *Committer) Behind(ctx context.Context) error { return c.checkout.Behind(ctx) }

// Uncommit implements deploy.Repo.
func (c *Committer) Uncommit(ctx context.Context) (bool, error) {
	if c.made == "" {
		return false, nil
	}
	err := c.takeBack(ctx)
	return err == nil, err
}

// Behind returns git.ErrDiverged when someone else was faster, and git.ErrGitAway
// when the Git host did not answer. Nothing is published.
func (c *Checkout) Behind(ctx context.Context) error {
	tip, err := c.Git.Fetch(ctx)
	if errors.Is(err, git.ErrNoRemote) || errors.Is(err, git.ErrUnborn) {
		return nil
	}
	if err != nil {
		return err
	}
	ahead, err := c.Git.IsAncestor(ctx, tip, c.Commit)
	if err != nil || ahead {
		return err
	}
	u, err := c.Git.Upstream(ctx)
	if err != nil {
		return err
	}
	return fault.WithHint(git.ErrDiverged, u.CatchUp())
}

// Pushed reports whether this command has published commits of its own.
func (c *Checkout) Pushed() bool { return c.pushed }

// CommitFiles commits files on top of the commit that was opened and pushes. While
// the Git host is away the commit stays here, and the error says so.
func (c *Checkout) CommitFiles(ctx context.Context, files map[string][]byte, message string) error {
	return c.CommitPrograms(ctx, files, nil, message)
}

// CommitPrograms is CommitFiles of files some of which are executable, if they are new.
func (c *Checkout) CommitPrograms(ctx context.Context, files map[string][]byte, executable []string, message string) error {
	if len(files) == 0 {
		return nil
	}
	err := (&Committer{checkout: c, runs: executable}).both(ctx, files, message)
	if errors.Is(err, git.ErrGitAway) {
		return fault.WithHint(fmt.Errorf("it is committed here as %s, but not pushed: %w", c.Commit.Short(), err),
			"git push, once the Git host is back; if it is gone permanently: git remote set-url origin URL of a new one, then git push")
	}
	return err
}

// StageFiles writes files into the working tree and the index, for a commit that the
// operator makes; see git.Repository.StageFiles. The operator's commit is checked by the hook.
func (c *Checkout) StageFiles(ctx context.Context, files, seen map[string][]byte) error {
	if _, err := c.Git.EnsureHook(ctx); err != nil {
		return err
	}
	return c.Git.StageFiles(ctx, files, seen)
}

// CommitOrNothing is CommitFiles for what others have to see: a commit that can't be
// pushed, whatever the reason, is taken back.
func (c *Checkout) CommitOrNothing(ctx context.Context, files map[string][]byte, message string) error {
	return (&Committer{checkout: c, whole: true}).both(ctx, files, message)
}

// both commits and pushes files, with what such a commit has to have besides.
func (c *Committer) both(ctx context.Context, files map[string][]byte, message string) error {
	if c.checkout.Rules.Complete != nil {
		var err error
		if files, err = c.checkout.Rules.Complete(ctx, files); err != nil {
			return err
		}
	}
	if _, err := c.Commit(ctx, files, message); err != nil {
		return err
	}
	return c.Push(ctx)
}
