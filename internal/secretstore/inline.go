package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/sops"
)

// inline reads a YAML file with Ansible Vaults as values; ok is false for any
// other file.
func (s *Store) inline(file string) (f *ansiblevault.Inline, ok bool, err error) {
	if sops.FormatOf(file) != sops.YAML {
		return nil, false, nil
	}
	data, err := s.read(file)
	if err != nil || ansiblevault.IsVault(data) {
		return nil, false, err
	}
	return ansiblevault.ParseInline(file, data)
}

// inlineAt returns the vault of a value in a YAML file.
func (s *Store) inlineAt(at place) (ansiblevault.InlineValue, error) {
	f, ok, err := s.inline(at.file)
	switch {
	case err != nil:
		return ansiblevault.InlineValue{}, err
	case !ok:
		return ansiblevault.InlineValue{}, s.noInline(at.file)
	}
	return f.Value(at.key)
}

// noInline says what a YAML file is whose values were asked for by name.
func (s *Store) noInline(file string) error {
	data, err := s.read(file)
	if err != nil {
		return err
	}
	if ansiblevault.IsVault(data) {
		return fault.WithHint(fmt.Errorf("all of %s is one Ansible Vault, so its values do not have names", file), "ansible-vault edit "+file)
	}
	if _, err := sops.Parse(file, data); err != nil {
		return err
	}
	return fault.WithHint(fmt.Errorf("%s is a SOPS file; only values that are Ansible Vaults have their own names", file), "sops "+file)
}

func (s *Store) inlineValue(ctx context.Context, at place) (secret.Value, error) {
	v, err := s.inlineAt(at)
	if err != nil {
		return secret.Value{}, err
	}
	return s.openVault(ctx, at.file+", "+v.Name, v.Envelope)
}

// clearInline returns a YAML file with its values in clear.
func (s *Store) clearInline(ctx context.Context, file string, f *ansiblevault.Inline) (secret.Value, error) {
	return f.Clear(func(v ansiblevault.InlineValue) (secret.Value, error) {
		return s.openVault(ctx, file+", "+v.Name, v.Envelope)
	})
}

// setInline returns a YAML file with one of its values set, under the vault id
// that the value has or that the file uses. The file may be new.
func (s *Store) setInline(ctx context.Context, at place, value secret.Value) ([]byte, error) {
	f, ok, err := s.inline(at.file)
	switch {
	case errors.Is(err, secret.ErrNotFound):
		id, err := s.onlyVault(at.file)
		if err != nil {
			return nil, err
		}
		vault, err := s.sealVault(ctx, id, value)
		if err != nil {
			return nil, wrap(at.file, err)
		}
		return ansiblevault.NewInline(at.file, at.key, vault)
	case err != nil:
		return nil, err
	case !ok:
		return nil, s.noInline(at.file)
	}
	id, err := idIn(f, at.key)
	if err != nil {
		return nil, err
	}
	vault, err := s.sealVault(ctx, id, value)
	if err != nil {
		return nil, wrap(at.file, err)
	}
	return f.Set(at.key, vault)
}

// idIn returns the vault id of a value, or of the file's first where it is new.
func idIn(f *ansiblevault.Inline, key string) (string, error) {
	values, err := f.Values()
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(values, func(v ansiblevault.InlineValue) bool { return v.Name == key }); i >= 0 {
		return values[i].Envelope.ID, nil
	}
	return values[0].Envelope.ID, nil
}

// onlyVault is the id under which a new file is encrypted: default, or the only
// one there is.
func (s *Store) onlyVault(file string) (string, error) {
	if _, has := s.opts.Vaults[ansiblevault.DefaultID]; has || len(s.opts.Vaults) == 0 {
		return ansiblevault.DefaultID, nil
	}
	ids := slices.Sorted(maps.Keys(s.opts.Vaults))
	if len(ids) > 1 {
		return "", fault.WithHint(fmt.Errorf("%s is new, and fleet.yaml does not have the vault id %s, only %s", file, ansiblevault.DefaultID, strings.Join(ids, ", ")), "make the file with ansible-vault encrypt_string --encrypt-vault-id ID")
	}
	return ids[0], nil
}

// inlineInfos lists the values of a YAML file.
func inlineInfos(file string, f *ansiblevault.Inline) ([]Info, error) {
	values, err := f.Values()
	var infos []Info
	for _, v := range values {
		info := vaultInfo(file, v.Envelope)
		info.Name += "/" + v.Name
		infos = append(infos, info)
	}
	return infos, err
}
