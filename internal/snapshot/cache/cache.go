// Package cache keeps the small objects of a repository on this host's disk, so that
// none is downloaded twice.
//
// It answers what an object holds and never whether there is one: only an object that
// the remote has listed since the Store was made is answered from the disk, if it is
// listed with the same size. What is on the disk is compared with its SHA-256 at every
// read, and read from the remote again where it differs.
package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"salvor/internal/atomicfile"
	"salvor/internal/blob"
)

const (
	configName = "config"
	// largest is more than an index has, which is the largest of these objects.
	largest = 32 << 20
)

// named matches what restic names by the SHA-256 of its content. Packs are too large to
// keep, and locks are only read once.
var named = regexp.MustCompile(`^(snapshots|index|keys)/[0-9a-f]{64}$`)

// A Store is a repository's folder on a remote, with a cache of its small objects. It is
// for one operation by the only one who writes there: what was listed is not listed
// again. Methods are safe for concurrent use.
type Store struct {
	blob.Store
	dir string

	mu     sync.Mutex       // guards what follows
	listed map[string]int64 // sizes of the objects that the remote has
	all    bool             // listed has everything but locks
	locks  bool             // and locks, until they are listed
}

// New returns a Store that keeps copies in dir, which is made when there is one to keep.
// A disk that is full, or a copy that can't be read, costs a download and nothing else.
func New(of blob.Store, dir string) *Store {
	return &Store{Store: of, dir: dir, listed: map[string]int64{}}
}

// ListAll lists the whole repository at once, which takes fewer calls than one kind of
// objects after another. Later listings and look-ups are answered by this one and by what was
// stored and deleted since. Of locks that holds once: it shows those that were left behind.
func (s *Store) ListAll(ctx context.Context) error {
	objects, err := s.Store.List(ctx, "")
	if err != nil {
		return err
	}
	all := map[string]int64{}
	for _, o := range objects {
		all[o.Path] = o.Size
	}
	if _, is := all[configName]; !is {
		// an empty listing may also be that of a disk that is away
		o, err := s.Store.Stat(ctx, configName)
		if err == nil {
			all[configName] = o.Size
		} else if !errors.Is(err, blob.ErrNotExist) {
			return err
		}
	}
	s.mu.Lock()
	s.listed, s.all, s.locks = all, true, true
	s.mu.Unlock()
	for _, kind := range []string{"snapshots", "index", "keys"} {
		s.tidy(kind)
	}
	return nil
}

const lockDir = "locks"

// List implements blob.Store. Copies of objects that are not listed any more are removed.
func (s *Store) List(ctx context.Context, dir string) ([]blob.Object, error) {
	if objects, known := s.known(dir); known {
		return objects, ctx.Err()
	}
	objects, err := s.Store.List(ctx, dir)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for p := range s.listed {
		if path.Dir(p) == dir {
			delete(s.listed, p)
		}
	}
	for _, o := range objects {
		if p := path.Join(dir, o.Path); named.MatchString(p) {
			s.listed[p] = o.Size
		}
	}
	s.mu.Unlock()
	s.tidy(dir)
	return objects, nil
}

// known answers a listing by that of everything.
func (s *Store) known(dir string) ([]blob.Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.all || dir == "" || dir == lockDir && !s.locks {
		return nil, false
	}
	s.locks = s.locks && dir != lockDir
	var objects []blob.Object
	for p, size := range s.listed {
		if rest, is := strings.CutPrefix(p, dir+"/"); is {
			objects = append(objects, blob.Object{Path: rest, Size: size})
		}
	}
	slices.SortFunc(objects, func(a, b blob.Object) int { return strings.Compare(a.Path, b.Path) })
	return objects, true
}

// tidy removes the copies of a folder's objects that are not listed.
func (s *Store) tidy(dir string) {
	copies, _ := os.ReadDir(filepath.Join(s.dir, dir)) // without a folder there are none
	for _, c := range copies {
		if p := path.Join(dir, c.Name()); named.MatchString(p) && !s.has(p) {
			_ = os.Remove(s.file(p)) // it takes room, and the next listing tries again
		}
	}
}

func (s *Store) has(p string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, is := s.listed[p]
	return is
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, p string) (blob.Object, error) {
	s.mu.Lock()
	size, is := s.listed[p]
	all := s.all && blob.ValidPath(p) && path.Dir(p) != lockDir
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return blob.Object{}, ctx.Err()
	case all && is:
		return blob.Object{Path: p, Size: size}, nil
	case all:
		return blob.Object{}, fmt.Errorf("look up %s: %w", p, blob.ErrNotExist)
	}
	o, err := s.Store.Stat(ctx, p)
	if p == configName && err == nil {
		s.note(p, o.Size)
	}
	return o, err
}

// Put implements blob.Store. What is stored is not kept: the first one who reads it has
// to see what the remote holds.
func (s *Store) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	s.forget(p)
	proof, err := s.Store.Put(ctx, p, content, size)
	if err == nil {
		s.note(p, size)
	}
	return proof, err
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, p string) error {
	s.forget(p)
	return s.Store.Delete(ctx, p)
}

func (s *Store) note(p string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed[p] = size
}

func (s *Store) forget(p string) {
	s.mu.Lock()
	delete(s.listed, p)
	s.mu.Unlock()
	s.Drop(p)
}

// Drop gives up the copy of an object, so that it is read from the remote.
func (s *Store) Drop(p string) {
	if keeps(p) {
		_ = os.Remove(s.file(p)) // one that stays is compared with its name still
	}
}

// keeps reports whether copies of an object are kept.
func keeps(p string) bool { return named.MatchString(p) || p == configName }

// Get implements blob.Store.
func (s *Store) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	s.mu.Lock()
	size, is := s.listed[p]
	s.mu.Unlock()
	if !keeps(p) || is && size > largest || offset != 0 || length >= 0 && length != size {
		return s.Store.Get(ctx, p, offset, length)
	}
	if is {
		if content, ok := s.load(p, size); ok {
			return io.NopCloser(bytes.NewReader(content)), nil
		}
	}
	return s.fetch(ctx, p)
}

// fetch reads an object whole, and keeps it if it is what its name says.
func (s *Store) fetch(ctx context.Context, p string) (io.ReadCloser, error) {
	r, err := s.Store.Get(ctx, p, 0, -1)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, largest+1))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if len(content) > largest { // it was not listed
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(content), r), r}, nil
	}
	s.save(p, content)
	return io.NopCloser(bytes.NewReader(content)), r.Close()
}

// A copy is the content, and for the configuration, whose name says nothing of it, its
// SHA-256 before that.
func (s *Store) file(p string) string { return filepath.Join(s.dir, filepath.FromSlash(p)) }

func (s *Store) load(p string, size int64) ([]byte, bool) {
	content, err := os.ReadFile(s.file(p))
	if err != nil {
		return nil, false
	}
	want := path.Base(p)
	if p == configName {
		if len(content) < sha256.Size {
			return nil, false
		}
		want, content = hex.EncodeToString(content[:sha256.Size]), content[sha256.Size:]
	}
	return content, digest(content) == want && int64(len(content)) == size
}

func (s *Store) save(p string, content []byte) {
	if p == configName {
		sum := sha256.Sum256(content)
		content = append(sum[:], content...)
	} else if digest(content) != path.Base(p) {
		return
	}
	if os.MkdirAll(filepath.Dir(s.file(p)), 0o700) == nil {
		_ = atomicfile.Write(s.file(p), bytes.NewReader(content), 0o600) // the next read tries again
	}
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}
