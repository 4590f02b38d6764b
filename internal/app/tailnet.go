package app

import (
	"context"

	"salvor/internal/deploy"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/tailnet"
)

// tailnet lets hosts into the fleet's tailnet; nil for a fleet without one.
func (a *App) tailnet() deploy.Tailnet {
	t := a.Checkout.Fleet.Tailnet
	if t == nil {
		return nil
	}
	name, _ := t.Auth.Secret() // the loader takes nothing else
	return &tailnet.Issuer{
		Tags: t.Tags, Other: t.LoginServer != "", Secret: name, Base: tailnet.PublicAPI,
		Open: func(ctx context.Context) (secret.Value, error) {
			return t.Auth.Resolve(ctx, secretstore.Delivered{Store: a.Identity.Store})
		},
	}
}
