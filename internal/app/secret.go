package app

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// warnOfPassword is warnOfWeak for a value that is about to become the password of
// vaults.
func (a *App) warnOfPassword(name string, value secret.Value) {
	for id, setting := range a.Checkout.Fleet.Vaults {
		if ref, ok := setting.Secret(); ok && ref == name && secret.Weak(value) {
			a.Identity.WarnOfWeak(id)
		}
	}
}

// SetSecret encrypts a value and commits it, by any name that the store takes:
// NAME is a secret of the fleet, STACK/KEY a variable of a stack, FILE.yml/KEY a
// value in a YAML file.
func (a *App) SetSecret(ctx context.Context, name string, value secret.Value) error {
	files, err := a.secretChange(ctx, name, value)
	if err != nil {
		return err
	}
	return a.Checkout.CommitFiles(ctx, files, "secret set: "+name)
}

// MayRotate returns why a secret can't be rotated: there is none of that name, or a
// database was made with it and no command changes it in the database.
func (a *App) MayRotate(name string) error {
	all, err := a.Identity.Store.List()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(i secretstore.Info) bool { return i.Name == name }) {
		return fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret set "+name+" creates it")
	}
	for _, u := range a.SecretUses(name) {
		if a.untoldDatabase(u) {
			return fault.WithHint(fmt.Errorf("%s: the database %s keeps its first password, and no on_rotate changes it "+
				"there: its clients would be rejected", name, u),
				"set x-salvor.on_rotate of the stack "+u.Stack+", see docs/secrets.md; or change it in the database "+
					"yourself, then run salvor secret set "+name)
		}
	}
	return nil
}

// untoldDatabase reports whether a use is a database's password of which it learns
// only when its data is made.
func (a *App) untoldDatabase(u SecretUse) bool {
	rendered, known := a.stacks[u.Stack]
	if !known || u.Service == "" || !slices.ContainsFunc(rendered.Volumes, func(v project.Volume) bool { return v.Service == u.Service && v.Method == fleet.Postgres }) {
		return false
	}
	return slices.ContainsFunc(rendered.Project.Services, func(s project.Service) bool { return s.Name == u.Service && len(s.OnRotate) == 0 })
}

// RotateSecret is SetSecret for a secret that is there already. It returns the
// files as they were, for UndoRotation.
func (a *App) RotateSecret(ctx context.Context, name string, value secret.Value) (before secretstore.Changes, err error) {
	if err := a.MayRotate(name); err != nil {
		return nil, err
	}
	files, err := a.secretChange(ctx, name, value)
	if err != nil {
		return nil, err
	}
	before = secretstore.Changes{}
	for path := range files {
		if before[path], err = a.Checkout.File(path); err != nil {
			return nil, err
		}
	}
	return before, a.Checkout.CommitFiles(ctx, files, "secret rotate: "+name)
}

// UndoRotation commits a secret's files as they were.
func (a *App) UndoRotation(ctx context.Context, name string, before secretstore.Changes) error {
	return a.Checkout.CommitFiles(ctx, before, "secret rotate: "+name+", old value restored")
}

// secretChange returns the files that give a secret a value, and with it forget who
// has seen the previous one.
func (a *App) secretChange(ctx context.Context, name string, value secret.Value) (files secretstore.Changes, err error) {
	if _, own := ownKeys()[name]; own {
		return nil, errMadeHere(name)
	}
	a.warnOfPassword(name, value)
	if err := a.mayEncrypt(ctx); err != nil {
		return nil, err
	}
	if files, err = a.Identity.Store.Writer().Set(ctx, name, value); err != nil {
		return nil, err
	}
	if err := a.noteMade(ctx, name); err != nil {
		return nil, err
	}
	return files, a.forgetSeen(files, name)
}

// Command returns what is declared of a secret that a program prints.
func (a *App) Command(name string) (argv []string, ok bool) {
	s, _ := a.Checkout.Fleet.Secret(name)
	return s.Command, s.Command != nil
}

// RaiseRevision commits that a program prints another value from now on, so that
// what is sealed with the old one is out of date. The program has to print one.
func (a *App) RaiseRevision(ctx context.Context, name string) error {
	s, _ := a.Checkout.Fleet.Secret(name)
	if _, err := a.Identity.Store.Resolve(ctx, name); err != nil {
		return err
	}
	content, err := a.Checkout.File(fleet.File)
	if err != nil {
		return err
	}
	if content, err = controlrepo.SetRevision(content, name, s.Revision+1); err != nil {
		return err
	}
	files := map[string][]byte{fleet.File: content}
	if err := a.forgetSeen(files, name); err != nil {
		return err
	}
	return a.Checkout.CommitFiles(ctx, files, fmt.Sprintf("secret rotate: %s, revision %d", name, s.Revision+1))
}
