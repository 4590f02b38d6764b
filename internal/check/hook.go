package check

import (
	"context"

	"salvor/internal/finding"
	"salvor/internal/git"
)

// Hooks knows what Git runs before a commit in a clone.
type Hooks interface {
	PreCommit(ctx context.Context) (git.Hook, error)
}

// Hook is the finding that Git calls salvor before no commit in a clone.
func Hook(ctx context.Context, clone Hooks) ([]finding.Finding, error) {
	hook, err := clone.PreCommit(ctx)
	if err != nil || hook.Calls {
		return nil, err
	}
	return []finding.Finding{{
		Code: finding.HookMissing, Severity: finding.Info, Subject: hook.Path,
		Text: "this clone has no pre-commit hook that calls salvor, so an unencrypted secret could be committed", Fix: hook.Install(),
	}}, nil
}
