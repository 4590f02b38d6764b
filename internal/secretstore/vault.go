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

// vault reads a file that is an Ansible Vault; ok is false for any other.
func (s *Store) vault(path string) (e ansiblevault.Envelope, ok bool, err error) {
	data, err := s.read(path)
	if err != nil || !ansiblevault.IsVault(data) {
		return e, false, err
	}
	if e, err = ansiblevault.Parse(data); err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return e, true, err
}

// openVault opens a vault with the password of its id, then, since an id is only
// a hint, with every other.
func (s *Store) openVault(ctx context.Context, path string, e ansiblevault.Envelope) (secret.Value, error) {
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
			return plain, wrap(path, err)
		}
	}
	err := fmt.Errorf("%s: vault id %s: %w", path, e.ID, errors.Join(append([]error{ansiblevault.ErrPassword}, errs...)...))
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

// vaultPassword opens the password of a vault id. It is a SOPS file: one that is
// a vault itself could need itself.
func (s *Store) vaultPassword(_ context.Context, id string) (secret.Value, error) {
	setting, known := s.opts.Vaults[id]
	if !known {
		return secret.Value{}, fault.WithHint(fmt.Errorf("no password of vault id %q is known: %w", id, secret.ErrLocked), fmt.Sprintf("vaults: {%s: secret:NAME} in fleet.yaml", id))
	}
	name, isSecret := setting.Secret()
	if !isSecret {
		return secret.Value{}, fmt.Errorf("vaults.%s must be a reference, secret:NAME", id)
	}
	path, err := Path(name)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := s.parse(path)
	if err != nil {
		return secret.Value{}, fmt.Errorf("password of vault id %s: %w", id, err)
	}
	return f.Plain(s.opts.Keys)
}

// sealVault makes a vault's new content under the id that it has.
func (s *Store) sealVault(ctx context.Context, e ansiblevault.Envelope, value secret.Value) ([]byte, error) {
	password, err := s.vaultPassword(ctx, e.ID)
	if err != nil {
		return nil, err
	}
	return ansiblevault.Seal(value, password, e.ID)
}

// rewrap returns the vaults whose password the secret is, encrypted with its new
// value. Those that the present one does not open stay as they are.
func (s *Store) rewrap(ctx context.Context, name string, password secret.Value) (Changes, error) {
	changes := Changes{}
	for id, setting := range s.opts.Vaults {
		if of, isSecret := setting.Secret(); !isSecret || of != name {
			continue
		}
		present, err := s.vaultPassword(ctx, id)
		if errors.Is(err, secret.ErrNotFound) {
			continue // it is set for the first time
		}
		if err != nil {
			return nil, err
		}
		if err := s.rewrapID(id, present, password, changes); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func (s *Store) rewrapID(id string, present, password secret.Value, changes Changes) error {
	paths, err := s.paths()
	if err != nil {
		return err
	}
	for _, path := range paths {
		e, isVault, err := s.vault(path)
		if err != nil || !isVault || e.ID != id {
			continue // what is no vault at all is reported where it is used
		}
		plain, err := e.Open(present)
		if errors.Is(err, ansiblevault.ErrPassword) {
			continue
		}
		if err != nil {
			return wrap(path, err)
		}
		if changes[path], err = ansiblevault.Seal(plain, password, id); err != nil {
			return wrap(path, err)
		}
	}
	return nil
}
