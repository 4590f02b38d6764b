package mounter

import (
	"context"
	"strings"
	"sync"
	"time"
)

// uploads keeps the uploads of a volume apart from renames and removals of the same files.
// rclone breaks off an upload for those, and the remote may have the file anyway, under
// its old name.
type uploads struct {
	mu      sync.Mutex
	under   map[string]int // paths of which an upload is under way
	still   map[string]int // paths that are renamed or removed now
	changed chan struct{}  // closed at each change, and made again
}

func newUploads() *uploads {
	return &uploads{under: map[string]int{}, still: map[string]int{}, changed: make(chan struct{})}
}

// begin returns when the path is not renamed or removed, and counts an upload of it until
// end is called.
func (u *uploads) begin(ctx context.Context, path string) (end func(), err error) {
	return u.when(ctx, u.under, []string{path}, func() bool { return !touches(u.still, path) })
}

// hold has no upload of the paths, or of what is below them, begin until release is called,
// and returns when those under way are over, or after limit: a large one may take long. quiet
// reports whether none is under way.
func (u *uploads) hold(ctx context.Context, limit time.Duration, paths ...string) (release func(), quiet bool) {
	u.mu.Lock()
	u.count(u.still, paths, 1)
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	none := func() bool {
		for _, p := range paths {
			if touches(u.under, p) {
				return false
			}
		}
		return true
	}
	done, err := u.when(ctx, nil, nil, none)
	if err == nil {
		done()
	}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.count(u.still, paths, -1)
	}, err == nil
}

// when waits until is holds, and counts the paths in one of the maps until
// stop is called.
func (u *uploads) when(ctx context.Context, in map[string]int, paths []string, is func() bool) (stop func(), err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for !is() {
		changed := u.changed
		u.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		u.mu.Lock()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	u.count(in, paths, 1)
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.count(in, paths, -1)
	}, nil
}

// count adds to the paths' counts. u.mu is held.
func (u *uploads) count(in map[string]int, paths []string, n int) {
	for _, p := range paths {
		if in[p] += n; in[p] == 0 {
			delete(in, p)
		}
	}
	close(u.changed)
	u.changed = make(chan struct{})
}

// touches reports whether a path is one of a map's, above one, or below one.
func touches(paths map[string]int, path string) bool {
	for p := range paths {
		if p == path || strings.HasPrefix(p, path+"/") || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}
