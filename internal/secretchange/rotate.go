package secretchange

import (
	"context"
	"fmt"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// Command returns the program that prints a secret, where one does.
func (c *Changes) Command(name string) (argv []string, printed bool) { return c.needs.Command(name) }

// UsedBy returns a line for each place where a secret is needed.
func (c *Changes) UsedBy(name string) []string {
	var lines []string
	for _, u := range c.needs.Uses(name) {
		line := u.String()
		if u.Host != "" {
			line += " on " + u.Host
		}
		if u.OnChange != "" {
			line += ": " + string(u.OnChange)
		}
		lines = append(lines, line)
	}
	return lines
}

// MayRotate returns why a secret can't be rotated: there is none of that name, or a
// database was made with it, or may have been, and no command changes it in the database.
func (c *Changes) MayRotate(name string) error {
	has, err := c.has(name)
	if err != nil {
		return err
	}
	if !has {
		return fault.WithHint(fmt.Errorf("%s: %w", name, secret.ErrNotFound), "salvor secret set "+name+" creates it")
	}
	if stack := c.needs.Unloaded(name); stack != "" {
		return fault.WithHint(unloaded(stack, "what uses "+name), "salvor check, and correct the stack; or salvor secret set "+name+", which commits a new value "+
			"without changing it in a database")
	}
	if database, keeps := c.needs.DatabaseKeeps(name); keeps {
		stack, _, _ := strings.Cut(database, "/")
		return fault.WithHint(fmt.Errorf("%s: the database %s keeps its first password, and no on_rotate changes it "+
			"there: its clients would be rejected", name, database),
			"set x-salvor.on_rotate of the stack "+stack+", see docs/secrets.md; or change it in the database "+
				"yourself, then run salvor secret set "+name)
	}
	return nil
}

// unloaded is why something about a secret of a stack can't be known.
func unloaded(stack, what string) error {
	return fmt.Errorf("stack %s does not load, so it is not known %s", stack, what)
}

// RotateSecret commits a new value of a secret that is there already. It returns the
// files as they were, for UndoRotation.
func (c *Changes) RotateSecret(ctx context.Context, name string, value secret.Value) (before secretstore.Changes, err error) {
	if err := c.MayRotate(name); err != nil {
		return nil, err
	}
	files, err := c.Encrypt(ctx, name, value)
	if err != nil {
		return nil, err
	}
	before = secretstore.Changes{}
	for path := range files {
		if before[path], err = c.checkout.File(path); err != nil {
			return nil, err
		}
	}
	return before, c.checkout.CommitFiles(ctx, files, "secret rotate: "+name)
}

// UndoRotation commits a secret's files as they were.
func (c *Changes) UndoRotation(ctx context.Context, name string, before secretstore.Changes) error {
	return c.checkout.CommitFiles(ctx, before, "secret rotate: "+name+", old value restored")
}

// RaiseRevision commits that a program prints another value from now on, so that
// what is sealed with the old one is out of date. The program has to print one.
func (c *Changes) RaiseRevision(ctx context.Context, name string) error {
	s, _ := c.checkout.Fleet.Secret(name)
	if _, err := c.identity.Store.Resolve(ctx, name); err != nil {
		return err
	}
	content, err := c.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	if content, err = controlrepo.SetRevision(content, name, s.Revision+1); err != nil {
		return err
	}
	files := map[string][]byte{fleet.File: content}
	if err := c.exposed.NoteChanged(files, name); err != nil {
		return err
	}
	return c.checkout.CommitFiles(ctx, files, fmt.Sprintf("secret rotate: %s, revision %d", name, s.Revision+1))
}
