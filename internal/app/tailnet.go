package app

import (
	"context"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
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

// ForgetInTailnet removes the device of a host that has left the fleet from the tailnet, and
// returns what is left to do about it, "" for nothing.
func (a *App) ForgetInTailnet(ctx context.Context, h fleet.Host) string {
	t := a.tailnet()
	_, known := a.Checkout.Lock.Tailnet[h.Name]
	if t == nil || !known && !h.Manage.Has(fleet.AreaTailnet) {
		return ""
	}
	_, err := t.Forget(ctx, h.Name, deploy.OwnAddress(a.Checkout.Lock, h.Name))
	return deploy.LeftInTailnet(h.Name, err)
}
