package app

import (
	"context"
	"fmt"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// SetSecret encrypts a value and commits it: NAME is a secret of the fleet,
// STACK/KEY a variable of a stack.
func (a *App) SetSecret(ctx context.Context, name string, value secret.Value) error {
	change := func(name string, value secret.Value) (secretstore.Changes, error) {
		return a.store.Set(ctx, name, value)
	}
	if stack, key, isEnv := strings.Cut(name, "/"); isEnv {
		change = func(string, secret.Value) (secretstore.Changes, error) { return a.store.SetEnv(stack, key, value) }
	}
	files, err := change(name, value)
	if err != nil {
		return err
	}
	return a.CommitFiles(ctx, files, "secret "+name+": set")
}

// Secret opens one secret, named as for SetSecret.
func (a *App) Secret(ctx context.Context, name string) (secret.Value, error) {
	stack, key, isEnv := strings.Cut(name, "/")
	if !isEnv {
		return a.store.Resolve(ctx, name)
	}
	all, err := a.store.Env(ctx, stack)
	if err != nil {
		return secret.Value{}, err
	}
	value, ok := all[key]
	if !ok {
		return secret.Value{}, fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret ls")
	}
	return value, nil
}

// Secrets lists what is under secrets/, without opening anything.
func (a *App) Secrets() ([]secretstore.Info, error) { return a.store.List() }
