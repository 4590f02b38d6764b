package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"salvor/internal/blob"
)

const configName = "config"

// A Spare is a copy of the two small files without which nothing of a repository
// can be read: a key file and the configuration. Both are encrypted, the first
// with the password and the second with what the first holds.
type Spare struct {
	Key    []byte `json:"key,omitempty"`
	Config []byte `json:"config,omitempty"`
}

// Whole reports whether both files are there.
func (s Spare) Whole() bool { return len(s.Key) > 0 && len(s.Config) > 0 }

// Spare returns copies of the files as they are on the remote. What is damaged there
// is left out.
func (r *Repository) Spare(ctx context.Context) (Spare, error) {
	var s Spare
	listed, err := r.store.List(ctx, "keys")
	if err != nil {
		return s, err
	}
	for _, name := range names(listed) {
		content, err := whole(ctx, r.store, "keys/"+name)
		if err != nil && !IsDamage(err) {
			return s, err
		}
		if err == nil {
			s.Key = content
		}
	}
	err = twice(func() error {
		config, err := read(ctx, r.store, configName, 0, -1)
		if err == nil && !r.readsConfig(config) {
			err = ErrDamaged
		}
		if err == nil {
			s.Config = config
		}
		return err
	})
	if err != nil && !IsDamage(err) {
		return s, err
	}
	return s, nil
}

func (r *Repository) readsConfig(content []byte) bool {
	_, err := r.key.open(content)
	return err == nil
}

// Mend puts back what the remote has lost of the two files, from their copies,
// and returns what is there now. done says what it did, "" for nothing. What is
// lost and has no copy is ErrDamaged. It may be called at any time.
func (r *Repository) Mend(ctx context.Context, spare Spare) (done string, have Spare, err error) {
	if have, err = r.Spare(ctx); err != nil {
		return "", have, err
	}
	if len(have.Key) == 0 {
		if err := r.mendKey(ctx, spare.Key); err != nil {
			return "", have, err
		}
		done, have.Key = "its key was restored from a copy", spare.Key
	}
	if len(have.Config) > 0 {
		return done, have, nil
	}
	if !r.readsConfig(spare.Config) {
		return done, have, fmt.Errorf("its configuration is lost, and there is no copy: %w", ErrDamaged)
	}
	if _, err := r.store.Put(ctx, configName, bytes.NewReader(spare.Config), int64(len(spare.Config))); err != nil {
		return done, have, fmt.Errorf("put the configuration back: %w", err)
	}
	have.Config = spare.Config
	return "its configuration was restored from a copy", have, nil
}

// mendKey writes the copy of the key file, then removes the damaged ones.
func (r *Repository) mendKey(ctx context.Context, key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("its key is lost, and there is no copy: %w", ErrDamaged)
	}
	sum := sha256.Sum256(key)
	mended := hex.EncodeToString(sum[:])
	if _, err := r.store.Put(ctx, "keys/"+mended, bytes.NewReader(key), int64(len(key))); err != nil {
		return fmt.Errorf("put the key back: %w", err)
	}
	listed, err := r.store.List(ctx, "keys")
	if err != nil {
		return err
	}
	for _, name := range names(listed) {
		if name == mended {
			continue
		}
		_, err := whole(ctx, r.store, "keys/"+name)
		switch {
		case err == nil:
			continue // another person's key
		case !IsDamage(err):
			return err
		}
		if err := r.store.Delete(ctx, "keys/"+name); err != nil && !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrAppendOnly) {
			return fmt.Errorf("remove a damaged key: %w", err)
		}
	}
	return nil
}
