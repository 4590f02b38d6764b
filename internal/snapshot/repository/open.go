package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// Open finds a key that the password fits. A password that fits no key is
// secret.ErrLocked, keys that are lost or changed are ErrDamaged, no repository
// at all is blob.ErrNotExist. Where the keys are damaged, the spare one opens.
func Open(ctx context.Context, store blob.Store, password secret.Value, spare Spare) (*Repository, error) {
	r, err := open(ctx, store, password)
	if errors.Is(err, ErrDamaged) && len(spare.Key) > 0 {
		if master, failed := unlock(spare.Key, password); failed == nil {
			return &Repository{store: store, key: master}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open snapshot repository: %w", err)
	}
	return r, nil
}

func open(ctx context.Context, store blob.Store, password secret.Value) (*Repository, error) {
	listed, err := store.List(ctx, "keys")
	if err != nil {
		return nil, err
	}
	keys := names(listed)
	if len(keys) == 0 {
		return nil, missingKeys(ctx, store)
	}
	var bad error
	for _, name := range keys {
		content, err := whole(ctx, store, "keys/"+name)
		if err != nil && !IsDamage(err) {
			return nil, err
		}
		if content != nil {
			var master masterKey
			if master, err = unlock(content, password); err == nil {
				return &Repository{store: store, key: master}, nil
			}
			err = intact(name, content)
		}
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("keys/%s: %w", name, err))
		}
	}
	if bad != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, bad)
	}
	return nil, secret.ErrLocked
}

// unlock returns the master key that a key file holds.
func unlock(content []byte, password secret.Value) (masterKey, error) {
	f, err := parseKeyFile(content)
	if err != nil {
		return masterKey{}, err
	}
	return f.unlock(password)
}

// intact compares an object's content with its name.
func intact(name string, content []byte) error {
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != name {
		return errors.New("content does not match its name")
	}
	return nil
}

// missingKeys says what a folder without keys is: nothing, or a repository that has
// lost them.
func missingKeys(ctx context.Context, store blob.Store) error {
	there, err := Exists(ctx, store)
	if err != nil {
		return err
	}
	if there {
		return fmt.Errorf("%w: it has no key", ErrDamaged)
	}
	return fmt.Errorf("no key: %w", blob.ErrNotExist)
}

// Exists reports whether anything of a repository is there, damaged or not: only
// where there is nothing may one be made. Keys alone are what a Create that was
// interrupted leaves.
func Exists(ctx context.Context, store blob.Store) (bool, error) {
	_, err := store.Stat(ctx, configName)
	if err == nil || !errors.Is(err, blob.ErrNotExist) {
		return err == nil, err
	}
	for _, kind := range []string{"snapshots", "index", "data"} {
		listed, err := store.List(ctx, kind)
		if err != nil || len(names(listed)) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}
