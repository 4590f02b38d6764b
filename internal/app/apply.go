package app

import (
	"context"

	"salvor/internal/apply"
	"salvor/internal/finding"
	"salvor/internal/leaks"
	"salvor/internal/progress"
	"salvor/internal/remotes"
)

// ForApply is the opened fleet as an apply needs it.
func (a *App) ForApply() *apply.Fleet {
	return &apply.Fleet{
		Declared: &a.Checkout.Fleet, Renamed: a.Checkout.Renamed, Findings: a.findings, PinGitHost: a.GitHost.Pin,
		InClear:   func(ctx context.Context) ([]finding.Finding, error) { return leaks.Findings(ctx, a.Checkout) },
		Playbooks: func() error { return playbooksAllowed(a) },
		Grants:    a.Confirmed.Grants, Confirm: a.Confirmed.ConfirmGrants, Session: a.Session,
		Free:       remotes.New(a.Checkout, a.Record.Open).Free,
		AboutClone: a.Checkout.AboutClone, Delivered: a.Confirmed.Delivered, RenewMirror: a.Mirrors.Renew, LetRead: letRead(a),
	}
}

// letRead has the Git host let hosts read the repository.
func letRead(a *App) func(context.Context, bool) error {
	return func(ctx context.Context, unread bool) error {
		kept, err := a.GitHost.KeysDue(ctx, unread)
		for _, host := range kept.Added {
			progress.Scope{Sink: a.opts.Sink, Host: host}.Note("may read the repository: its deploy key is with " + kept.Keeper)
		}
		return err
	}
}
