package secretstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/sops"
)

// inlineAt returns the vault of a value in a YAML file.
func (s *Store) inlineAt(at fleet.SecretName) (ansiblevault.InlineValue, error) {
	f, ok, err := s.Inline(at.File)
	switch {
	case err != nil:
		return ansiblevault.InlineValue{}, err
	case !ok:
		return ansiblevault.InlineValue{}, s.noInline(at.File)
	}
	return f.Value(at.Key)
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

func (s *Store) inlineValue(ctx context.Context, at fleet.SecretName) (secret.Value, error) {
	v, err := s.inlineAt(at)
	if err != nil {
		return secret.Value{}, err
	}
	return s.openVault(ctx, at.File+", "+v.Name, v.Envelope)
}

// clearInline returns a YAML file with its values decrypted.
func (s *Store) clearInline(ctx context.Context, file string, f *ansiblevault.Inline) (secret.Value, error) {
	return f.Clear(func(v ansiblevault.InlineValue) (secret.Value, error) {
		return s.openVault(ctx, file+", "+v.Name, v.Envelope)
	})
}

// setInline returns a YAML file with one of its values set, under the vault id
// that the value has or that the file uses. The file may be new.
func (w Writer) setInline(ctx context.Context, at fleet.SecretName, value secret.Value) ([]byte, error) {
	f, ok, err := w.store.Inline(at.File)
	switch {
	case errors.Is(err, secret.ErrNotFound):
		id, err := w.onlyVault(at.File)
		if err != nil {
			return nil, err
		}
		vault, err := w.sealVault(ctx, id, value)
		if err != nil {
			return nil, wrap(at.File, err)
		}
		return ansiblevault.NewInline(at.File, at.Key, vault)
	case err != nil:
		return nil, err
	case !ok:
		return nil, w.store.noInline(at.File)
	}
	id, err := idIn(f, at.Key)
	if err != nil {
		return nil, err
	}
	vault, err := w.sealVault(ctx, id, value)
	if err != nil {
		return nil, wrap(at.File, err)
	}
	return f.Set(at.Key, vault)
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
func (w Writer) onlyVault(file string) (string, error) {
	if _, has := w.store.Vaults[ansiblevault.DefaultID]; has || len(w.store.Vaults) == 0 {
		return ansiblevault.DefaultID, nil
	}
	ids := slices.Sorted(maps.Keys(w.store.Vaults))
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
