package app

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/ansible"
	"salvor/internal/deploy"
	"salvor/internal/embedded"
	"salvor/internal/fleet"
	"salvor/internal/version"
)

// ForAnsible is the opened fleet as Ansible needs it.
func (a *App) ForAnsible(ctx context.Context) (*ansible.Fleet, error) {
	s, err := a.Session(ctx, a.opts.Sink)
	if err != nil {
		return nil, err
	}
	return &ansible.Fleet{
		Declared: &a.Checkout.Fleet, Version: version.String(), Program: embedded.Salvord,
		Request: func(h fleet.Host) (agentapi.Converge, error) { return deploy.Preparation(s, h) },
		Login:   a.Reach.Login, Secret: a.Identity.Secret,
		Confirm: func(ctx context.Context) error { return a.Confirmed.ConfirmGrants(ctx, a.Checkout.Lock) },
	}, nil
}
