package app

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// errSSHKey keeps the fleet's SSH key from becoming something that no host takes.
func errSSHKey() error {
	return fault.WithHint(fmt.Errorf("%s is made by Salvor, together with its public part", sshKeyName), "salvor key ssh --rotate")
}

// SetSecret encrypts a value and commits it: NAME is a secret of the fleet,
// STACK/KEY a variable of a stack.
func (a *App) SetSecret(ctx context.Context, name string, value secret.Value) error {
	files, err := a.secretChange(ctx, name, value)
	if err != nil {
		return err
	}
	return a.CommitFiles(ctx, files, "secret "+name+": set")
}

// RotateSecret is SetSecret for a secret that is there already. It returns the
// files as they were, for UndoRotation.
func (a *App) RotateSecret(ctx context.Context, name string, value secret.Value) (before secretstore.Changes, err error) {
	all, err := a.store.List()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(all, func(i secretstore.Info) bool { return i.Name == name }) {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret set "+name+" makes it")
	}
	files, err := a.secretChange(ctx, name, value)
	if err != nil {
		return nil, err
	}
	before = secretstore.Changes{}
	for path := range files {
		if before[path], err = a.file(path); err != nil {
			return nil, err
		}
	}
	return before, a.CommitFiles(ctx, files, "secret "+name+": rotate")
}

// UndoRotation commits a secret's files as they were.
func (a *App) UndoRotation(ctx context.Context, name string, before secretstore.Changes) error {
	return a.CommitFiles(ctx, before, "secret "+name+": undo the rotation")
}

// secretChange returns the files that give a secret a value, and with it forget
// who has seen the one before.
func (a *App) secretChange(ctx context.Context, name string, value secret.Value) (files secretstore.Changes, err error) {
	if name == sshKeyName {
		return nil, errSSHKey()
	}
	if stack, key, isEnv := a.store.Variable(name); isEnv {
		files, err = a.store.SetEnv(stack, secret.Variable{Name: key, Value: value})
	} else {
		files, err = a.store.Set(ctx, name, value)
	}
	if err != nil {
		return nil, err
	}
	return files, a.forgetSeen(files, name)
}

// Secret opens one secret, named as for SetSecret.
func (a *App) Secret(ctx context.Context, name string) (secret.Value, error) {
	stack, key, isEnv := a.store.Variable(name)
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
