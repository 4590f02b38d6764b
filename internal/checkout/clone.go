package checkout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// askGit is how long the Git host is waited for where it is only asked for news.
const askGit = 3 * time.Second

// AboutClone returns the findings about this clone: what is not committed, and that the
// Git host has commits which are not here. A Git host that does not answer is none.
func (c *Checkout) AboutClone(ctx context.Context) ([]finding.Finding, error) {
	found, err := c.Uncommitted(ctx)
	if err != nil {
		return nil, err
	}
	if c.behind == nil {
		c.askBehind(ctx)
	}
	behind, err := c.behind()
	c.stopAsking()
	c.behind = nil // a later call asks again
	if err != nil || !behind {
		return found, nil //nolint:nilerr // an apply finds out, and says so
	}
	u, err := c.Git.Upstream(ctx)
	if err != nil {
		return nil, err
	}
	branch := u.Remote + "/" + u.Branch
	return append(found, finding.Finding{
		Code: finding.CloneBehind, Severity: finding.Warning, Subject: branch,
		Text: "it has commits that this clone does not have", Fix: "git pull --rebase " + u.Remote + " " + u.Branch,
	}), nil
}

// askBehind begins to ask the Git host whether it has commits that are not here.
func (c *Checkout) askBehind(ctx context.Context) {
	ctx, c.stopAsking = context.WithTimeout(ctx, askGit)
	answered := make(chan struct{})
	var behind bool
	var err error
	go func() {
		defer close(answered)
		behind, err = c.Git.Behind(ctx)
	}()
	c.behind = func() (bool, error) {
		<-answered
		return behind, err
	}
}

// Uncommitted returns a finding for each stack, and each other file of the fleet, that is
// different in the working tree from the newest commit.
func (c *Checkout) Uncommitted(ctx context.Context) ([]finding.Finding, error) {
	changes, err := c.Git.Status(ctx)
	if err != nil {
		return nil, err
	}
	var found []finding.Finding
	for _, change := range changes {
		subject := ofFleet(change.Path)
		if subject == "" || slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Subject == subject }) {
			continue
		}
		text := "it has changes that are not committed, so they are not deployed"
		if _, err := os.Lstat(filepath.Join(c.Export, filepath.FromSlash(subject))); errors.Is(err, fs.ErrNotExist) {
			text = "it is not committed, so it is not deployed"
		}
		found = append(found, finding.Finding{
			Code: finding.NotCommitted, Severity: finding.Warning, Subject: subject, Text: text,
			Fix: fmt.Sprintf("git add %s, then git commit", subject),
		})
	}
	return found, nil
}

// ofFleet returns what of a fleet a path of the repository belongs to: a stack's folder,
// the file itself, or "" for what is not part of one.
func ofFleet(p string) string {
	top, rest, below := strings.Cut(p, "/")
	switch {
	case top == fleet.StackDir && below:
		stack, _, _ := strings.Cut(rest, "/")
		return path.Join(top, stack)
	case p == fleet.File, top == fleet.HostDir, top == fleet.SecretDir:
		return p
	}
	return ""
}
