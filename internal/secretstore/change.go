package secretstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
)

// Changes are new file contents by path in the repository, all encrypted.
type Changes map[string][]byte

// A Writer makes the files that change secrets. Nothing is written to disk: what it
// returns is for a commit.
type Writer struct{ store *Store }

// Writer returns what changes secrets of this store.
func (s *Store) Writer() Writer { return Writer{s} }

// Set returns the change that gives a secret a value, new or not, by any name that
// Resolve takes. For a file of its own no key is needed: the store's recipients
// suffice. What is an Ansible Vault stays one, under its id, which takes that vault's
// password; the password of vaults takes them along, encrypted again with it. What a
// program prints wraps secret.ErrReadOnly.
func (w Writer) Set(ctx context.Context, name string, value secret.Value) (Changes, error) {
	at, err := w.store.Find(name)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("secret %s: %w", name, context.Cause(ctx))
	case err != nil:
		return nil, err
	case w.store.programs.Has(name):
		return nil, fault.WithHint(fmt.Errorf("secret %s is printed by a program: %w", name, secret.ErrReadOnly), "change it there, then salvor secret rotate "+name)
	}
	var data []byte
	switch {
	case at.Stack != "":
		return w.SetEnv(at.Stack, secret.Variable{Name: at.Key, Value: value})
	case at.Key != "":
		data, err = w.setInline(ctx, at, value)
	default:
		data, err = w.setFile(ctx, at.File, value)
	}
	if err != nil {
		return nil, err
	}
	changes, err := w.rewrap(ctx, name, value)
	if err != nil {
		return nil, err
	}
	changes[at.File] = data
	return changes, nil
}

// Opens reports whether Set of a secret has to decrypt something, for which a key is needed.
func (w Writer) Opens(name string) bool {
	at, err := w.store.Find(name)
	if err != nil {
		return false // Set says so
	}
	data, err := w.store.read(at.File)
	if err != nil {
		return at.Key != "" && at.Stack == "" // a value in a new file of vaults
	}
	k, err := kindOf(at.File, data)
	return err == nil && (at.Stack != "" || k.sops == nil)
}

// Remove returns the change after which there is no secret of that name. What a program
// prints wraps secret.ErrReadOnly; a single value of a YAML file is edited by hand.
func (w Writer) Remove(ctx context.Context, name string) (Changes, error) {
	at, err := w.store.Find(name)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("secret %s: %w", name, context.Cause(ctx))
	case err != nil:
		return nil, err
	case w.store.programs.Has(name):
		return nil, fault.WithHint(fmt.Errorf("secret %s is printed by a program: %w", name, secret.ErrReadOnly), "remove it from secrets: in fleet.yaml")
	case at.Stack != "":
		return w.removeVariable(at)
	case at.Key != "":
		return nil, fault.WithHint(fmt.Errorf("%s is a value in a YAML file", name), "remove it from "+at.File+" with an editor, and commit that")
	}
	if _, err := w.store.read(at.File); err != nil {
		return nil, err
	}
	return Changes{at.File: nil}, nil
}

// removeVariable removes a stack's variable, and the file with the last one.
func (w Writer) removeVariable(at fleet.SecretName) (Changes, error) {
	f, err := w.ownEnv(at.File)
	if err != nil {
		return nil, err
	}
	names, err := f.EnvNames()
	switch {
	case err != nil:
		return nil, err
	case !slices.Contains(names, at.Key):
		return nil, fmt.Errorf("%s has no variable %s: %w", at.File, at.Key, secret.ErrNotFound)
	case len(names) == 1:
		return Changes{at.File: nil}, nil
	}
	text, err := f.Plain(w.store.opts.Keys)
	w.store.opened(at.File, err)
	if err != nil {
		return nil, err
	}
	var left []byte
	for line := range bytes.Lines(text.Reveal()) {
		if !bytes.HasPrefix(line, []byte(at.Key+"=")) {
			left = append(left, line...)
		}
	}
	data, _, err := f.ReplaceEnv(w.store.opts.Keys, at.Stack+".env", secret.New(left))
	return Changes{at.File: data}, err
}

func (w Writer) setFile(ctx context.Context, file string, value secret.Value) ([]byte, error) {
	data, err := w.store.read(file)
	if errors.Is(err, secret.ErrNotFound) {
		return sops.Encrypt(file, value, w.store.opts.Recipients)
	}
	if err != nil {
		return nil, err
	}
	switch kind, err := kindOf(file, data); {
	case err != nil:
		return nil, err
	case kind.vault != nil:
		return w.sealVault(ctx, kind.vault.ID, value)
	case kind.inline != nil:
		return nil, fault.WithHint(fmt.Errorf("the values in %s are encrypted one by one", file), "salvor secret ls lists their names: FILE.yml/KEY")
	default:
		return kind.sops.Replace(value, w.store.opts.Recipients)
	}
}

// SetEnv returns the change that gives some of a stack's secret variables a
// value. A file that is there is opened with the operator's key.
func (w Writer) SetEnv(stack string, variables ...secret.Variable) (Changes, error) {
	path, err := fleet.EnvFile(stack), fleet.ValidName(stack)
	if err != nil {
		return nil, err
	}
	f, err := w.ownEnv(path)
	var data []byte
	switch {
	case err == nil:
		data, err = f.SetEnv(w.store.opts.Keys, variables...)
		w.store.opened(path, err)
	case errors.Is(err, secret.ErrNotFound):
		data, err = sops.NewEnv(path, w.store.opts.Recipients, variables...)
	}
	if err != nil {
		return nil, err
	}
	return Changes{path: data}, nil
}

// ReplaceEnv returns the change after which a stack's secret variables are those
// of a text in the form of EnvText, nil where they are already, and the names of
// those that are new or have another value. An error in the text names its line in
// `STACK.env`.
func (w Writer) ReplaceEnv(stack string, text secret.Value) (files Changes, changed []string, err error) {
	path, err := fleet.EnvFile(stack), fleet.ValidName(stack)
	if err != nil {
		return nil, nil, err
	}
	f, err := w.ownEnv(path)
	if err != nil {
		return nil, nil, err
	}
	data, changed, err := f.ReplaceEnv(w.store.opts.Keys, stack+".env", text)
	if err != nil || data == nil {
		return nil, nil, err
	}
	return Changes{path: data}, changed, nil
}

// ownEnv reads a dotenv file that is encrypted to the store's recipients.
func (w Writer) ownEnv(path string) (*sops.File, error) {
	f, err := w.store.parse(path)
	if err == nil && !f.Fits(w.store.opts.Recipients) {
		return nil, fmt.Errorf("%s: encrypted to other recipients than the fleet's; re-encrypt it first", path)
	}
	return f, err
}

// Reencrypt returns every file whose recipients differ from the store's,
// encrypted to those under a new data key. Where all fit it returns nothing and
// asks for no key.
func (w Writer) Reencrypt() (Changes, error) {
	paths, err := w.store.Paths()
	if err != nil {
		return nil, err
	}
	changes := Changes{}
	for _, path := range paths {
		data, err := w.store.read(path)
		if err != nil {
			return nil, err
		}
		kind, err := kindOf(path, data)
		if err != nil {
			return nil, err
		}
		if kind.sops == nil || kind.sops.Fits(w.store.opts.Recipients) {
			continue // a vault has a password and no recipients
		}
		changes[path], err = kind.sops.Rekey(w.store.opts.Keys, w.store.opts.Recipients)
		w.store.opened(path, err)
		if err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// Paths returns the changed files, sorted.
func (c Changes) Paths() []string {
	paths := make([]string, 0, len(c))
	for p := range c {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// WriteTo writes the changes into a work tree, each file atomically.
func (c Changes) WriteTo(root string) error {
	for _, p := range c.Paths() {
		target := filepath.Join(root, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := atomicfile.Write(target, bytes.NewReader(c[p]), 0o644); err != nil {
			return err
		}
	}
	return nil
}
