// Package keychain keeps passphrases in the keychain of the operator's system: the Secret
// Service of a Linux desktop, and macOS's keychain.
package keychain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"

	"salvor/internal/secret"
)

// ErrNone means that the keychain does not have it.
var ErrNone = errors.New("the keychain does not have it")

// service is what the keychain shows the entries under.
const service = "salvor"

// limit is what the system may take: it may have to ask a person to unlock the keychain.
const limit = 2 * time.Minute

// System is the keychain of the system that this runs on. The library that reaches it
// gives it secrets over the session bus, or on the standard input of `security`: never in
// arguments.
type System struct{}

// There reports whether there is a keychain to ask. Nothing is asked.
func (System) There() bool { return there() }

// Get returns what is kept for an account. The error wraps ErrNone where there is nothing.
func (System) Get(ctx context.Context, account string) (secret.Value, error) {
	var found secret.Value
	err := within(ctx, func() error {
		text, err := keyring.Get(service, account)
		found = secret.NewString(text)
		return err
	})
	return found, err
}

// Set keeps a secret for an account, instead of the one before.
func (System) Set(ctx context.Context, account string, v secret.Value) error {
	return within(ctx, func() error { return keyring.Set(service, account, string(v.Reveal())) })
}

// Delete forgets what is kept for an account, if there is something.
func (System) Delete(ctx context.Context, account string) error {
	err := within(ctx, func() error { return keyring.Delete(service, account) })
	if errors.Is(err, ErrNone) {
		return nil
	}
	return err
}

// within waits for the keychain no longer than ctx and limit allow. The library knows no
// context: what it is asked is left behind then, and ends with the program.
func within(ctx context.Context, ask func() error) error {
	if !there() {
		return errors.New("there is no keychain in this session")
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := make(chan error, 1)
	go func() { asked <- ask() }()
	var err error
	select {
	case err = <-asked:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keyring.ErrNotFound):
		return ErrNone
	}
	return fmt.Errorf("the system's keychain: %w", err)
}
