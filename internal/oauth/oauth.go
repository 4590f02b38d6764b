// Package oauth has a person allow an OAuth client of their own to use their Google Drive:
// with a code that is entered on any device (RFC 8628), or in this computer's browser
// (RFC 8252, with PKCE).
package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"salvor/internal/fault"
	"salvor/internal/secret"
)

// A Scope is what a grant allows, by rclone's name for it.
type Scope string

// The scopes: files and folders that the client made itself; all of the account's.
const (
	DriveFile Scope = "drive.file"
	Drive     Scope = "drive"
)

// scopePrefix makes Google's name of a Scope.
const scopePrefix = "https://www.googleapis.com/auth/"

// An App is an OAuth client at Google, and what it asks for.
type App struct {
	ID     string
	Secret secret.Value
	Scope  Scope
}

// A Grant is what a person has allowed.
type Grant struct {
	// Token is what rclone's option token takes: JSON with an access token, the refresh
	// token and the access token's expiry.
	Token secret.Value
	// Ends is how long the refresh token lives, 0 for until it is revoked. Google ends what
	// is granted to an app in testing after 7 days.
	Ends time.Duration
}

// What can go wrong with a grant; the errors of this package wrap one of them where it is
// known.
var (
	// ErrClient means that Google does not take the client, or its secret.
	ErrClient = errors.New("the OAuth client or its secret was refused by Google")
	// ErrKind means that the client was made for another way to log in.
	ErrKind = errors.New("the OAuth client is not of the type that this way to log in needs")
	// ErrDenied means that the person said no.
	ErrDenied = errors.New("access was denied in the browser")
	// ErrExpired means that no one answered in time.
	ErrExpired = errors.New("the code has expired")
)

// answerLimit bounds one request to Google.
const answerLimit = 30 * time.Second

func (a App) config(redirect string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: a.ID, ClientSecret: string(a.Secret.Reveal()), Endpoint: google.Endpoint, RedirectURL: redirect,
		Scopes: []string{scopePrefix + string(a.Scope)},
	}
}

// withClient has requests end in time. A client that the context has already, as tests
// give it one, stays.
func withClient(ctx context.Context) context.Context {
	if _, has := ctx.Value(oauth2.HTTPClient).(*http.Client); has {
		return ctx
	}
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Timeout: answerLimit})
}

// grantOf keeps what is needed of a token.
func grantOf(t *oauth2.Token) (Grant, error) {
	if t.RefreshToken == "" {
		return Grant{}, errors.New("no refresh token came from Google")
	}
	seconds, _ := t.Extra("refresh_token_expires_in").(float64)
	kept := oauth2.Token{AccessToken: t.AccessToken, TokenType: t.TokenType, RefreshToken: t.RefreshToken, Expiry: t.Expiry.UTC()}
	raw, err := json.Marshal(kept)
	return Grant{Token: secret.New(raw), Ends: time.Duration(seconds) * time.Second}, err
}

// explained says what an answer of Google means, without the answer's text, which repeats
// what was sent.
func explained(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return fault.WithCode(fmt.Errorf("ask Google: %w", err), fault.Unreachable)
	}
	switch {
	case answer.ErrorCode == "invalid_client" && answer.ErrorDescription == "Invalid client type.":
		return ErrKind
	case answer.ErrorCode == "invalid_client", answer.ErrorCode == "unauthorized_client":
		return ErrClient
	case answer.ErrorCode == "access_denied":
		return ErrDenied
	case answer.ErrorCode == "expired_token":
		return ErrExpired
	}
	return fmt.Errorf("the login was refused by Google: %s %s", answer.ErrorCode, answer.ErrorDescription)
}
