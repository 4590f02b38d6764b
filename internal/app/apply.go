package app

import (
	"context"

	"salvor/internal/apply"
	"salvor/internal/finding"
	"salvor/internal/leaks"
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
		AboutClone: a.Checkout.AboutClone, Delivered: a.Confirmed.Delivered, RenewMirror: a.Mirrors.Renew,
	}
}
