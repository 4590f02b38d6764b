package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
)

// openVault opens a vault with the password of its id, then, since an id is only
// a hint, with every other. where names it in errors.
func (s *Store) openVault(ctx context.Context, where string, e ansiblevault.Envelope) (secret.Value, error) {
	ids := slices.Sorted(maps.Keys(s.opts.Vaults))
	slices.SortStableFunc(ids, func(a, b string) int { return rank(b, e.ID) - rank(a, e.ID) })
	var errs []error
	for _, id := range ids {
		password, err := s.vaultPassword(ctx, id)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		plain, err := e.Open(password)
		if !errors.Is(err, ansiblevault.ErrPassword) {
			return plain, wrap(where, err)
		}
	}
	err := fmt.Errorf("%s: vault id %s: %w", where, e.ID, ansiblevault.ErrPassword)
	if len(errs) > 0 {
		err = fault.WithHint(fmt.Errorf("%w (%s)", err, errs[0].Error()), fault.Hint(errs[0]))
	}
	if _, known := s.opts.Vaults[e.ID]; !known {
		err = fault.WithHint(err, fmt.Sprintf("vaults: {%s: secret:NAME} in fleet.yaml, and salvor secret set NAME", e.ID))
	}
	return secret.Value{}, err
}

func rank(id, wanted string) int {
	if id == wanted {
		return 1
	}
	return 0
}

func wrap(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", path, err)
}

// vaultPassword opens the password of a vault id. It is a SOPS file or what a
// program prints: one that is a vault itself could need itself.
func (s *Store) vaultPassword(ctx context.Context, id string) (secret.Value, error) {
	setting, known := s.opts.Vaults[id]
	if !known {
		return secret.Value{}, fault.WithHint(fmt.Errorf("no password of vault id %q is known: %w", id, secret.ErrLocked), fmt.Sprintf("vaults: {%s: secret:NAME} in fleet.yaml", id))
	}
	name, isSecret := setting.Secret()
	if !isSecret {
		return secret.Value{}, fmt.Errorf("vaults.%s must be a reference, secret:NAME", id)
	}
	password, err := s.passwordNamed(ctx, name)
	if err != nil {
		return secret.Value{}, fmt.Errorf("password of vault id %s: %w", id, err)
	}
	if s.opts.Weak != nil && ansiblevault.Weak(password) {
		s.opts.Weak(id)
	}
	return password, nil
}

func (s *Store) passwordNamed(ctx context.Context, name string) (secret.Value, error) {
	if s.programs.Has(name) {
		return s.programs.Open(ctx, name)
	}
	path, err := Path(name)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := s.parse(path)
	if err != nil {
		return secret.Value{}, err
	}
	return f.Plain(s.opts.Keys)
}

// sealVault encrypts a value under a vault id.
func (s *Store) sealVault(ctx context.Context, id string, value secret.Value) ([]byte, error) {
	password, err := s.vaultPassword(ctx, id)
	if err != nil {
		return nil, err
	}
	return ansiblevault.Seal(value, password, id)
}
