package app

import (
	"context"
	"os"

	"salvor/internal/finding"
	"salvor/internal/git"
	"salvor/internal/machine/local"
)

// PreCommit returns the hook that Git runs before a commit in the repository at dir.
func PreCommit(ctx context.Context, dir string) (git.Hook, error) {
	clone, err := git.Open(ctx, local.Machine{}, dir, os.Environ())
	if err != nil {
		return git.Hook{}, err
	}
	return clone.PreCommit(ctx)
}

// HookFindings says that Git calls salvor before no commit in this clone.
func (a *App) HookFindings(ctx context.Context) ([]finding.Finding, error) {
	hook, err := a.Checkout.Git.PreCommit(ctx)
	if err != nil || hook.Calls {
		return nil, err
	}
	return []finding.Finding{{
		Code: finding.HookMissing, Severity: finding.Info, Subject: hook.Path,
		Text: "this clone has no pre-commit hook that calls salvor, so an unencrypted secret could be committed", Fix: hook.Install(),
	}}, nil
}
