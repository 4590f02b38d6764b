package app

import (
	"context"
	"time"

	"salvor/internal/cloudflare"
	"salvor/internal/dockflare"
	"salvor/internal/secretstore"
)

// connectorPatience is for a connector that was started just now: its host looks at Cloudflare
// every two minutes at least.
const connectorPatience = 3 * time.Minute

// DockFlare is the opened fleet as the adoption of DockFlare's routes needs it.
func DockFlare(a *App) *dockflare.Fleet {
	return &dockflare.Fleet{
		Declared: &a.Checkout.Fleet, Lock: a.Checkout.Lock, Stacks: a.Needs.Rendered(), File: a.Checkout.File,
		Commit: a.Checkout.CommitFiles, Dial: a.Reach.Dial, API: func(ctx context.Context) (*cloudflare.Client, error) { return cloudflareClient(ctx, a) }, Patience: connectorPatience,
	}
}

// cloudflareClient returns a client of the fleet's account, with the token that hosts have, too.
func cloudflareClient(ctx context.Context, a *App) (*cloudflare.Client, error) {
	i := a.Checkout.Fleet.Ingress
	token, err := i.Token.Resolve(ctx, secretstore.Delivered{Store: a.Identity.Store})
	if err != nil {
		return nil, err
	}
	return cloudflare.New(cloudflare.Options{Base: a.opts.Cloudflare, Account: i.Account, Token: token, Hosts: len(a.Checkout.Fleet.Publishing(a.Checkout.Lock)) + 1})
}
