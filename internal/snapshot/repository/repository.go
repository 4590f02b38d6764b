// Package repository reads, checks and repairs restic repositories without the restic
// program (https://restic.readthedocs.io/en/stable/design.html, versions 1 and 2): which
// snapshots there are and every property of every file in them. What one of the two
// wrote, the other verifies.
package repository

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
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
	packs map[string][]entry // what each pack holds, by the indexes
	trees map[string][]byte  // packs that hold folders
	kept  int                // bytes in trees
}

// A place is where a blob is. raw is its size uncompressed, 0 when it is not
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

func read(ctx context.Context, store blob.Store, path string, offset, length int64) ([]byte, error) {
	r, err := store.Get(ctx, path, offset, length)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, maxObject))
	return content, errors.Join(err, r.Close())
}

// twice does work that reads something and checks it. Where that is not what was written, it
// is done once more: a line may err, too.
func twice(work func() error) error {
	err := work()
	if errors.Is(err, ErrDamaged) {
		err = work()
	}
	return err
}

// whole reads an object and compares it with its name. One that differs is returned, too,
// with an error that is ErrDamaged.
func whole(ctx context.Context, store blob.Store, at string) ([]byte, error) {
	var content []byte
	err := twice(func() error {
		var err error
		if content, err = read(ctx, store, at, 0, -1); err != nil {
			content = nil
			return err
		}
		if err = intact(path.Base(at), content); err != nil {
			err = fmt.Errorf("%w: %w", err, ErrDamaged)
		}
		return err
	})
	return content, err
}

// Snapshots returns every snapshot, in no particular order, and with them those of
// which the remote returns something else than was written.
func (r *Repository) Snapshots(ctx context.Context) ([]Snapshot, []Damaged, error) {
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
	if err := json.Unmarshal(content, &s); err != nil {
		return Snapshot{}, fmt.Errorf("snapshots/%s: %w: %w", id, err, ErrDamaged)
	}
	return s, nil
}

// Locks returns every lock, and separately those that cannot be read.
func (r *Repository) Locks(ctx context.Context) ([]Lock, []Damaged, error) {
	return all(ctx, r, "locks", func(id string, content []byte) (Lock, error) {
		l := Lock{ID: id}
		return l, json.Unmarshal(content, &l)
	})
}

// Damaged is an object of which the remote returns something else than was
// written, or nothing although it lists it.
type Damaged struct {
	ID  string
	Err error
}

type decoder[T any] func(id string, content []byte) (T, error)

func all[T any](ctx context.Context, r *Repository, kind string, decode decoder[T]) ([]T, []Damaged, error) {
	objects, err := r.store.List(ctx, kind)
	if err != nil {
		return nil, nil, err
	}
	return each(ctx, r, kind, names(objects), decode)
}

// namePattern is what objects of a repository are called: SHA-256 in hex. Files that
// a file server or a desktop leaves next to them (Thumbs.db, .nfs0001) are not.
var namePattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ValidName reports whether an object of a repository can have that name.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// names returns the names of those objects that belong to a repository.
func names(objects []blob.Object) []string {
	var names []string
	for _, o := range objects {
		if name := path.Base(o.Path); ValidName(name) {
			names = append(names, name)
		}
	}
	return names
}

// each reads objects side by side. What is damaged is returned with the rest; an
// error means that the remote did not answer.
func each[T any](ctx context.Context, r *Repository, kind string, ids []string, decode decoder[T]) ([]T, []Damaged, error) {
	found, failed := make([]T, len(ids)), make([]error, len(ids))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetches)
	for i, id := range ids {
		group.Go(func() error {
			content, err := r.unpacked(ctx, kind, id)
			if err == nil {
				if found[i], err = decode(id, content); err != nil {
					err = fmt.Errorf("%s/%s: %w: %w", kind, id, err, ErrDamaged)
				}
			}
			if failed[i] = err; IsDamage(err) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	var good []T
	var damaged []Damaged
	for i, id := range ids {
		if failed[i] == nil {
			good = append(good, found[i])
		} else {
			damaged = append(damaged, Damaged{id, failed[i]})
		}
	}
	return good, damaged, nil
}

// IsDamage reports whether an error says that something of the repository is
// lost or changed, and not that the remote does not answer.
func IsDamage(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, fs.ErrNotExist)
}

// unpacked reads an object that is not in a pack: it compares the content with
// its name, decrypts and decompresses it.
func (r *Repository) unpacked(ctx context.Context, kind, id string) ([]byte, error) {
	sealed, err := whole(ctx, r.store, kind+"/"+id)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", kind, id, err)
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
