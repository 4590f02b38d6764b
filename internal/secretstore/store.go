// Package secretstore finds secrets in the control repository, opens them and
// makes their new content. It reads from a commit or a work tree and writes
// nothing itself: changes are file contents for the caller to commit. The
// layout is docs/adr/0002-secret-layout.md.
package secretstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/sops"
)

// Options say where secrets are and who can read them.
type Options struct {
	Files      fs.FS          // the repository at one commit, or its work tree
	Keys       agekey.Keyring // the operator's; asked for only when something is decrypted
	Recipients []string       // fleet.Recipients.All: whom new content is encrypted to

	Vaults map[string]secret.Setting // Ansible Vault id to the reference of its password

	// Opened, when set, is told the name of each file below secrets/ that was
	// decrypted. It is called by several goroutines at once.
	Opened func(name string)
}

// A Store is the secrets of a control repository. It implements
// secret.Resolver and is safe for concurrent use.
type Store struct{ opts Options }

// New returns the store. It reads nothing yet.
func New(opts Options) *Store { return &Store{opts: opts} }

// Resolve opens the secret of that name: what `secret:NAME` and Compose's
// `external: true` mean. An unknown name wraps secret.ErrNotFound.
func (s *Store) Resolve(ctx context.Context, name string) (secret.Value, error) {
	path, err := s.path(name)
	if err != nil {
		return secret.Value{}, err
	}
	value, err := s.plain(ctx, path)
	if errors.Is(err, secret.ErrNotFound) {
		err = fault.WithHint(err, "salvor secret set "+name)
	}
	return value, err
}

// File opens an encrypted file below secrets/ by its path in the repository:
// what Compose's `file:` means. The content is returned in its own format.
func (s *Store) File(ctx context.Context, path string) (secret.Value, error) {
	path, err := filePath(path)
	if err != nil {
		return secret.Value{}, err
	}
	return s.plain(ctx, path)
}

// Env opens a stack's secret variables: what Compose's `environment: NAME` and
// `${NAME}` mean. A stack without the file has none.
func (s *Store) Env(_ context.Context, stack string) (map[string]secret.Value, error) {
	path, err := EnvPath(stack)
	if err != nil {
		return nil, err
	}
	f, err := s.parse(path)
	if errors.Is(err, secret.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	env, err := f.Env(s.opts.Keys)
	s.opened(path, err)
	return env, err
}

// EnvText opens a stack's secret variables as the text that SOPS encrypts: what a
// person edits. A stack without the file wraps secret.ErrNotFound.
func (s *Store) EnvText(stack string) (secret.Value, error) {
	path, err := EnvPath(stack)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := s.parse(path)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := f.Plain(s.opts.Keys)
	s.opened(path, err)
	return text, err
}

// EnvNames returns the names of a stack's secret variables without any key.
func (s *Store) EnvNames(stack string) ([]string, error) {
	path, err := EnvPath(stack)
	if err != nil {
		return nil, err
	}
	f, err := s.parse(path)
	if errors.Is(err, secret.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.EnvNames()
}

// Ciphertext returns a file below secrets/ as it stands in the repository: an
// input of a seal, comparable without any key.
func (s *Store) Ciphertext(path string) ([]byte, error) {
	path, err := filePath(path)
	if err != nil {
		return nil, err
	}
	return s.read(path)
}

func (s *Store) plain(ctx context.Context, path string) (secret.Value, error) {
	e, isVault, err := s.vault(path)
	if err != nil {
		return secret.Value{}, err
	}
	var value secret.Value
	if isVault {
		value, err = s.openVault(ctx, path, e)
	} else if f, parseErr := s.parse(path); parseErr != nil {
		err = parseErr
	} else {
		value, err = f.Plain(s.opts.Keys)
	}
	s.opened(path, err)
	return value, err
}

func (s *Store) opened(path string, err error) {
	if err == nil && s.opts.Opened != nil {
		s.opts.Opened(strings.TrimPrefix(path, Dir+"/"))
	}
}

func (s *Store) parse(path string) (*sops.File, error) {
	data, err := s.read(path)
	if err != nil {
		return nil, err
	}
	if ansiblevault.IsVault(data) {
		return nil, fmt.Errorf("%s is an Ansible Vault; here it has to be a SOPS file, whose names can be read without a key", path)
	}
	return sops.Parse(path, data)
}

func (s *Store) read(path string) ([]byte, error) {
	data, err := fs.ReadFile(s.opts.Files, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, secret.ErrNotFound)
	}
	return data, err
}
