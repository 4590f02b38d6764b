package branch

import (
	"context"
	"fmt"

	"salvor/internal/git"
)

// A Committer commits for one command. It implements deploy.Repo.
type Committer struct {
	Clone *Clone
	Edge  Edge
	at    string // the commit that the command goes by
	made  string // committed and not pushed yet
	from  string // the commit that made builds on
}

// NewCommitter returns a committer for a command that goes by the clone's newest commit.
func NewCommitter(c *Clone, edge Edge) *Committer {
	return &Committer{Clone: c, Edge: edge, at: c.head}
}

// Commit implements deploy.Repo.
func (c *Committer) Commit(ctx context.Context, files map[string][]byte, message string) (string, error) {
	if err := c.Edge(ctx, "git commit"); err != nil {
		return "", err
	}
	if c.Clone.head != c.at {
		return "", fmt.Errorf("commit: %w", git.ErrDiverged)
	}
	host := c.Clone.host
	host.mu.Lock()
	id := host.add(c.at, files, message)
	host.mu.Unlock()
	c.made, c.from = id, c.at
	c.Clone.head, c.at = id, id
	return id, c.Edge(ctx, "git commit answered")
}

// Push implements deploy.Repo.
func (c *Committer) Push(ctx context.Context) error {
	if err := c.Edge(ctx, "git push"); err != nil {
		return err
	}
	if err := c.push(); err != nil {
		return err
	}
	c.made = ""
	return c.Edge(ctx, "git push answered")
}

func (c *Committer) push() error {
	host := c.Clone.host
	host.mu.Lock()
	defer host.mu.Unlock()
	switch {
	case host.away:
		return git.ErrGitAway
	case !host.ancestor(host.head, c.Clone.head):
		c.undo()
		return git.ErrDiverged
	}
	host.head, c.Clone.tracked = c.Clone.head, c.Clone.head
	return nil
}

func (c *Committer) undo() bool {
	if c.made == "" {
		return false
	}
	c.Clone.head, c.at, c.made = c.from, c.from, ""
	return true
}

// Published implements deploy.Repo.
func (c *Committer) Published(context.Context) (bool, error) { return !c.Clone.Unpushed(), nil }

// Behind implements deploy.Repo.
func (c *Committer) Behind(ctx context.Context) error {
	if err := c.Clone.Fetch(ctx, c.Edge); err != nil {
		return err
	}
	host := c.Clone.host
	host.mu.Lock()
	defer host.mu.Unlock()
	if !host.ancestor(c.Clone.tracked, c.Clone.head) {
		return git.ErrDiverged
	}
	return nil
}

// Uncommit implements deploy.Repo.
func (c *Committer) Uncommit(context.Context) (bool, error) {
	host := c.Clone.host
	host.mu.Lock()
	defer host.mu.Unlock()
	return c.undo(), nil
}
