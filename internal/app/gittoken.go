package app

import (
	"context"
	"errors"

	"salvor/internal/confirmation"
	"salvor/internal/grant"
	"salvor/internal/secret"
)

// gitToken is the operators' token at the Git host.
type gitToken struct{ app *App }

// open opens it, once the operators have confirmed that the secret is sent there.
func (t gitToken) open(ctx context.Context) (secret.Value, error) {
	name, _ := t.app.Checkout.Fleet.Git.Token.Secret()
	sent := confirmation.GitTokenGrant(name)
	confirmed, err := t.app.Confirmed.Has(ctx, sent)
	if err == nil && !confirmed {
		err = grant.Unconfirmed([]string{sent.Name})
	}
	if err != nil {
		return secret.Value{}, err
	}
	return t.app.Identity.Secret(ctx, name)
}

// login is a git.Login.
func (t gitToken) login(ctx context.Context, ask bool) (secret.Value, error) {
	if !ask && !t.app.Identity.Unlocked() {
		return secret.Value{}, errors.New("the token for it is not asked for without need")
	}
	return t.open(ctx)
}
