package git

import (
	"bytes"
	"context"
	"strconv"
)

// Bundle returns the branch with its whole history as a Git bundle: `git clone
// FILE` makes a repository of it. See git-bundle(1).
func (g *Repository) Bundle(ctx context.Context) ([]byte, error) {
	branch, err := g.Branch(ctx)
	if err != nil {
		return nil, err
	}
	var bundle bytes.Buffer
	c := g.command("bundle", "create", "--quiet", "-", "HEAD", "refs/heads/"+branch)
	c.Stdout = &bundle
	_, err = g.m.Run(ctx, c)
	return bundle.Bytes(), err
}

// Count returns how many commits the history of c has, c among them.
func (g *reader) Count(ctx context.Context, c Commit) (int, error) {
	out, err := g.line(ctx, "rev-list", "--count", string(c))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}
