// Package repository reads restic's repository format
// (https://restic.readthedocs.io/en/stable/design.html, versions 1 and 2):
// which snapshots there are and every property of every file in them. It is a
// second reader beside the restic program: what one wrote, the other verifies.
package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/secret"
)

// ErrDamaged is wrapped by errors that mean: what the remote returned is not
// what was written.
var ErrDamaged = errors.New("repository is damaged")

// fetches is how many small files are read at a time.
const fetches = 8

// maxObject bounds what is read whole: indexes, snapshots and the like.
const maxObject = 256 << 20

// A Repository is opened with its password. Methods are safe for concurrent use.
type Repository struct {
	store blob.Store
	key   masterKey

	mu    sync.Mutex // guards everything below
	blobs map[string]place
	trees map[string][]byte // packs that hold folders
	kept  int               // bytes in trees
}

// A place is where a blob lies. raw is its size uncompressed, 0 when it is not
// compressed.
type place struct {
	pack                string
	offset, length, raw int64
	tree                bool
}

// A Snapshot is one of a repository's.
type Snapshot struct {
	ID       string    `json:"-"`
	Time     time.Time `json:"time"`
	Tree     string    `json:"tree"`
	Paths    []string  `json:"paths"`
	Hostname string    `json:"hostname"`
	Tags     []string  `json:"tags"`
	Program  string    `json:"program_version"`
}

// A Lock is a restic process that works on the repository, or did.
type Lock struct {
	ID        string    `json:"-"`
	Time      time.Time `json:"time"` // of its last sign of life
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
}

// Open finds a key that the password fits. A wrong password is
// secret.ErrLocked; no repository at all is blob.ErrNotExist.
func Open(ctx context.Context, store blob.Store, password secret.Value) (*Repository, error) {
	keys, err := store.List(ctx, "keys")
	if err != nil {
		return nil, fmt.Errorf("open snapshot repository: %w", err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("open snapshot repository: no key: %w", blob.ErrNotExist)
	}
	var bad error
	for _, k := range keys {
		content, err := read(ctx, store, "keys/"+k.Path, 0, -1)
		if err != nil {
			return nil, fmt.Errorf("open snapshot repository: %w", err)
		}
		f, err := parseKeyFile(content)
		if err != nil {
			bad = errors.Join(bad, err)
			continue
		}
		master, err := f.unlock(password)
		if err == nil {
			return &Repository{store: store, key: master}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("open snapshot repository: %w", secret.ErrLocked), bad)
}

// Exists reports whether there is a repository.
func Exists(ctx context.Context, store blob.Store) (bool, error) {
	_, err := store.Stat(ctx, "config")
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func read(ctx context.Context, store blob.Store, path string, offset, length int64) ([]byte, error) {
	r, err := store.Get(ctx, path, offset, length)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, maxObject))
	return content, errors.Join(err, r.Close())
}

// Snapshots returns every snapshot, in no order that means anything.
func (r *Repository) Snapshots(ctx context.Context) ([]Snapshot, error) {
	return all(ctx, r, "snapshots", func(id string, content []byte) (Snapshot, error) {
		s := Snapshot{ID: id}
		return s, json.Unmarshal(content, &s)
	})
}

// Snapshot reads one snapshot, by its full id.
func (r *Repository) Snapshot(ctx context.Context, id string) (Snapshot, error) {
	content, err := r.unpacked(ctx, "snapshots", id)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{ID: id}
	return s, json.Unmarshal(content, &s)
}

// Locks returns every lock.
func (r *Repository) Locks(ctx context.Context) ([]Lock, error) {
	return all(ctx, r, "locks", func(id string, content []byte) (Lock, error) {
		l := Lock{ID: id}
		return l, json.Unmarshal(content, &l)
	})
}

type decoder[T any] func(id string, content []byte) (T, error)

func all[T any](ctx context.Context, r *Repository, kind string, decode decoder[T]) ([]T, error) {
	objects, err := r.store.List(ctx, kind)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(objects))
	for i, o := range objects {
		ids[i] = path.Base(o.Path)
	}
	return each(ctx, r, kind, ids, decode)
}

func each[T any](ctx context.Context, r *Repository, kind string, ids []string, decode decoder[T]) ([]T, error) {
	found := make([]T, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetches)
	for i, id := range ids {
		group.Go(func() error {
			content, err := r.unpacked(ctx, kind, id)
			if err != nil {
				return err
			}
			found[i], err = decode(id, content)
			if err != nil {
				return fmt.Errorf("%s/%s: %w", kind, id, err)
			}
			return nil
		})
	}
	return found, group.Wait()
}

// unpacked reads an object that is not in a pack: it compares the content with
// its name, decrypts and decompresses it.
func (r *Repository) unpacked(ctx context.Context, kind, id string) ([]byte, error) {
	sealed, err := read(ctx, r.store, kind+"/"+id, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", kind, id, err)
	}
	if sum := sha256.Sum256(sealed); hex.EncodeToString(sum[:]) != id {
		return nil, fmt.Errorf("%s/%s: content does not match its name: %w", kind, id, ErrDamaged)
	}
	plain, err := r.key.open(sealed)
	if err == nil {
		plain, err = decompress(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w: %w", kind, id, err, ErrDamaged)
	}
	return plain, nil
}

// decompress undoes what format 2 does to unpacked objects: the first byte is 2
// for zstd, or already JSON's.
func decompress(plain []byte) ([]byte, error) {
	switch {
	case len(plain) == 0:
		return nil, errors.New("empty")
	case plain[0] == '{' || plain[0] == '[':
		return plain, nil
	case plain[0] != 2:
		return nil, fmt.Errorf("unknown encoding %d", plain[0])
	}
	return inflate(plain[1:])
}

func inflate(packed []byte) ([]byte, error) {
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxObject))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(io.LimitReader(d, maxObject))
}
