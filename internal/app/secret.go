package app

import (
	"context"
	"strings"

	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// SetSecret encrypts a value and commits it: NAME is a secret of the fleet,
// STACK/KEY a variable of a stack.
func (a *App) SetSecret(ctx context.Context, name string, value secret.Value) error {
	change := a.store.Set
	if stack, key, isEnv := strings.Cut(name, "/"); isEnv {
		change = func(string, secret.Value) (secretstore.Changes, error) { return a.store.SetEnv(stack, key, value) }
	}
	files, err := change(name, value)
	if err != nil {
		return err
	}
	return a.CommitFiles(ctx, files, "secret "+name+": set")
}

// Secrets lists what is under secrets/, without opening anything.
func (a *App) Secrets() ([]secretstore.Info, error) { return a.store.List() }
