package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"salvor/internal/blob"
)

// AppendOnly returns a repository as a host uses it that may delete nothing there.
// restic's locks, which it removes again, stay in this process: one operation on a
// repository runs at a time, since it holds the stack's lock.
func (r Repository) AppendOnly() Repository {
	r.Store, r.appends = &ownLocks{Store: blob.AppendOnly(r.Store), locks: map[string][]byte{}}, true
	return r
}

const lockDir = "locks/"

// ownLocks keeps a repository's locks in memory.
type ownLocks struct {
	blob.Store

	mu    sync.Mutex // guards locks
	locks map[string][]byte
}

// Put implements blob.Store.
func (s *ownLocks) Put(ctx context.Context, name string, content io.Reader, size int64) (blob.Proof, error) {
	if !strings.HasPrefix(name, lockDir) {
		return s.Store.Put(ctx, name, content, size)
	}
	lock, err := io.ReadAll(io.LimitReader(content, size+1))
	if err == nil && int64(len(lock)) != size {
		err = fmt.Errorf("store %s: not %d bytes", name, size)
	}
	if err != nil {
		return blob.Proof{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks[name] = lock
	return blob.Proof{Size: size, By: readBack}, nil
}

func (s *ownLocks) lock(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock, is := s.locks[name]
	if !is {
		return nil, fmt.Errorf("%s: %w", name, blob.ErrNotExist)
	}
	return lock, nil
}

// Get implements blob.Store.
func (s *ownLocks) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, error) {
	if !strings.HasPrefix(name, lockDir) {
		return s.Store.Get(ctx, name, offset, length)
	}
	lock, err := s.lock(name)
	if err != nil {
		return nil, err
	}
	lock = lock[min(max(offset, 0), int64(len(lock))):]
	if length >= 0 {
		lock = lock[:min(length, int64(len(lock)))]
	}
	return io.NopCloser(bytes.NewReader(lock)), nil
}

// Stat implements blob.Store.
func (s *ownLocks) Stat(ctx context.Context, name string) (blob.Object, error) {
	if !strings.HasPrefix(name, lockDir) {
		return s.Store.Stat(ctx, name)
	}
	lock, err := s.lock(name)
	return blob.Object{Path: name, Size: int64(len(lock))}, err
}

// List implements blob.Store.
func (s *ownLocks) List(ctx context.Context, dir string) ([]blob.Object, error) {
	if dir+"/" != lockDir {
		return s.Store.List(ctx, dir)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []blob.Object
	for name, lock := range s.locks {
		all = append(all, blob.Object{Path: path.Base(name), Size: int64(len(lock))})
	}
	slices.SortFunc(all, func(a, b blob.Object) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

// Delete implements blob.Store.
func (s *ownLocks) Delete(ctx context.Context, name string) error {
	if !strings.HasPrefix(name, lockDir) {
		return fmt.Errorf("delete %s: %w", name, s.Store.Delete(ctx, name))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, is := s.locks[name]; !is {
		return fmt.Errorf("%s: %w", name, blob.ErrNotExist)
	}
	delete(s.locks, name)
	return nil
}
