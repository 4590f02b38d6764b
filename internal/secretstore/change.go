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
	"salvor/internal/secret"
	"salvor/internal/secret/sops"
)

// Changes are new file contents by path in the repository, all encrypted.
type Changes map[string][]byte

// Set returns the change that gives a secret a value, new or not. No key is
// needed: the store's recipients suffice. A secret that is an Ansible Vault stays
// one, under its id, which takes that vault's password. The password of vaults
// takes them along: they are encrypted anew with it.
func (s *Store) Set(ctx context.Context, name string, value secret.Value) (Changes, error) {
	path, err := s.path(name)
	if err != nil {
		return nil, err
	}
	data, err := s.encrypted(ctx, path, value)
	if err != nil {
		return nil, err
	}
	changes, err := s.rewrap(ctx, name, value)
	if err != nil {
		return nil, err
	}
	changes[path] = data
	return changes, nil
}

func (s *Store) encrypted(ctx context.Context, path string, value secret.Value) ([]byte, error) {
	if e, isVault, err := s.vault(path); isVault {
		if err != nil {
			return nil, err
		}
		return s.sealVault(ctx, e, value)
	}
	f, err := s.parse(path)
	if errors.Is(err, secret.ErrNotFound) {
		return sops.Encrypt(path, value, s.opts.Recipients)
	}
	if err != nil {
		return nil, err
	}
	return f.Replace(value, s.opts.Recipients)
}

// SetEnv returns the change that gives some of a stack's secret variables a
// value. A file that is there is opened with the operator's key.
func (s *Store) SetEnv(stack string, variables ...secret.Variable) (Changes, error) {
	path, err := EnvPath(stack)
	if err != nil {
		return nil, err
	}
	f, err := s.ownEnv(path)
	var data []byte
	switch {
	case err == nil:
		data, err = f.SetEnv(s.opts.Keys, variables...)
		s.opened(path, err)
	case errors.Is(err, secret.ErrNotFound):
		data, err = sops.NewEnv(path, s.opts.Recipients, variables...)
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
func (s *Store) ReplaceEnv(stack string, text secret.Value) (files Changes, changed []string, err error) {
	path, err := EnvPath(stack)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.ownEnv(path)
	if err != nil {
		return nil, nil, err
	}
	data, changed, err := f.ReplaceEnv(s.opts.Keys, stack+".env", text)
	if err != nil || data == nil {
		return nil, nil, err
	}
	return Changes{path: data}, changed, nil
}

// ownEnv reads a dotenv file that is encrypted to the store's recipients.
func (s *Store) ownEnv(path string) (*sops.File, error) {
	f, err := s.parse(path)
	if err == nil && !f.Fits(s.opts.Recipients) {
		return nil, fmt.Errorf("%s: encrypted to other recipients than the fleet's; re-encrypt it first", path)
	}
	return f, err
}

// Reencrypt returns every file whose recipients differ from the store's,
// encrypted to those under a new data key. Where all fit it returns nothing and
// asks for no key.
func (s *Store) Reencrypt() (Changes, error) {
	paths, err := s.paths()
	if err != nil {
		return nil, err
	}
	changes := Changes{}
	for _, path := range paths {
		if _, isVault, err := s.vault(path); isVault && err == nil {
			continue // it has a password and no recipients
		}
		f, err := s.parse(path)
		if err != nil {
			return nil, err
		}
		if f.Fits(s.opts.Recipients) {
			continue
		}
		changes[path], err = f.Rekey(s.opts.Keys, s.opts.Recipients)
		s.opened(path, err)
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
