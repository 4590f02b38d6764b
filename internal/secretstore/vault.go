package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
)

// openVault opens a vault with the password of its id, then, since an id is only
// a hint, with every other. where names it in errors.
func (s *Store) openVault(ctx context.Context, where string, e ansiblevault.Envelope) (secret.Value, error) {
	ids := slices.Sorted(maps.Keys(s.Vaults))
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
	if _, known := s.Vaults[e.ID]; !known {
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
	password, err := s.passwordOf(ctx, id)
	if err == nil && s.opts.Weak != nil && secret.Weak(password) {
		s.opts.Weak(id)
	}
	return password, err
}

func (s *Store) passwordOf(ctx context.Context, id string) (secret.Value, error) {
	setting, known := s.Vaults[id]
	if !known {
		return secret.Value{}, fault.WithHint(fmt.Errorf("the password of vault id %q is not known: %w", id, secret.ErrLocked), fmt.Sprintf("vaults: {%s: secret:NAME} in fleet.yaml", id))
	}
	name, isSecret := setting.Secret()
	if !isSecret {
		return secret.Value{}, fmt.Errorf("vaults.%s must be a reference, secret:NAME", id)
	}
	password, err := s.passwordNamed(ctx, name)
	if err != nil {
		return secret.Value{}, fmt.Errorf("password of vault id %s: %w", id, err)
	}
	return password, nil
}

func (s *Store) passwordNamed(ctx context.Context, name string) (secret.Value, error) {
	if s.programs.Has(name) {
		return s.printed(ctx, name)
	}
	path, err := fleet.SecretFile(name)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := s.parse(path)
	if err != nil {
		return secret.Value{}, err
	}
	password, err := f.Plain(s.opts.Keys)
	s.opened(path, err)
	return password, err
}

// sealVault encrypts a value under a vault id.
func (w Writer) sealVault(ctx context.Context, id string, value secret.Value) ([]byte, error) {
	password, err := w.store.vaultPassword(ctx, id)
	if err != nil {
		return nil, err
	}
	return ansiblevault.Seal(value, password, id)
}

// rewrap returns the vaults whose password the secret is, encrypted with its new
// value. Those that the present one does not open stay as they are.
func (w Writer) rewrap(ctx context.Context, name string, password secret.Value) (Changes, error) {
	changes := Changes{}
	for id, setting := range w.store.Vaults {
		if of, isSecret := setting.Secret(); !isSecret || of != name {
			continue
		}
		present, err := w.store.passwordOf(ctx, id) // whether it is weak matters no more
		if errors.Is(err, secret.ErrNotFound) {
			continue // it is set for the first time
		}
		if err != nil {
			return nil, err
		}
		if err := w.rewrapID(id, present, password, changes); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func (w Writer) rewrapID(id string, present, password secret.Value, changes Changes) error {
	paths, err := w.store.Paths()
	if err != nil {
		return err
	}
	for _, path := range paths {
		data, err := w.store.read(path)
		if err != nil {
			return err
		}
		kind, err := kindOf(path, data)
		if err != nil {
			continue // what is not a secret at all is reported where it is used
		}
		var again []byte
		switch {
		case kind.vault != nil:
			again, err = resealed(*kind.vault, id, present, password)
		case kind.inline != nil:
			again, err = resealedValues(path, kind.inline, id, present, password)
		}
		if err != nil {
			return wrap(path, err)
		}
		if again != nil {
			changes[path] = again
		}
	}
	return nil
}

// resealed returns a vault under another password; nil for one of another id, or
// that the present password does not open.
func resealed(e ansiblevault.Envelope, id string, present, password secret.Value) ([]byte, error) {
	if e.ID != id {
		return nil, nil
	}
	plain, err := e.Open(present)
	if errors.Is(err, ansiblevault.ErrPassword) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ansiblevault.Seal(plain, password, id)
}

// resealedValues is resealed for the values in a YAML file; nil where none changes.
func resealedValues(path string, f *ansiblevault.Inline, id string, present, password secret.Value) (data []byte, err error) {
	values, err := f.Values()
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		vault, err := resealed(v.Envelope, id, present, password)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Name, err)
		}
		if vault == nil {
			continue
		}
		if data, err = f.Set(v.Name, vault); err != nil {
			return nil, err
		}
		if f, _, err = ansiblevault.ParseInline(path, data); err != nil {
			return nil, err
		}
	}
	return data, nil
}
