package here

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// keptFor is how long a place stays open: by then a credential may have changed, or a folder
// may have been moved away and made again, which some remotes do not see.
const keptFor = time.Hour

// Kept keeps places on remotes open for reading, since to open one takes calls: folder by
// folder on Google Drive. A remote with other options is another one. Its methods may be
// called at any time.
type Kept struct {
	open OpenFolder
	now  func() time.Time

	mu  sync.Mutex // guards what follows
	all map[string]*kept
}

// KeepOpen returns a Kept for a host's remotes. Close it when done.
func KeepOpen(h *Host) *Kept {
	return &Kept{open: h.folders(), now: h.Edges.Time, all: map[string]*kept{}}
}

// Open opens a place, or returns the one that is open. What is opened is closed by the Kept.
func (k *Kept) Open(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, f := range k.all {
		if f.old(k.now()) {
			go f.Folder.Close(context.WithoutCancel(ctx)) // nothing was written
			delete(k.all, id)
		}
	}
	id := placeID(remotes, where)
	if f, is := k.all[id]; is {
		return f, nil
	}
	folder, err := k.open(ctx, remotes, where)
	if err != nil {
		return nil, err
	}
	f := &kept{Folder: folder, since: k.now()}
	k.all[id] = f
	return f, nil
}

// Close ends all connections.
func (k *Kept) Close(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, f := range k.all {
		_ = f.Folder.Close(ctx) // nothing was written
	}
	clear(k.all)
}

// placeID tells places apart by all that leads to them.
func placeID(remotes storage.Remotes, where fleet.Location) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", where.String())
	for _, name := range slices.Sorted(maps.Keys(remotes)) {
		fmt.Fprintf(sum, "%q %q\n", name, remotes[name].Type)
		for _, option := range slices.Sorted(maps.Keys(remotes[name].Options)) {
			fmt.Fprintf(sum, "%q %q\n", option, remotes[name].Options[option].Reveal())
		}
	}
	return string(sum.Sum(nil))
}

// errReadOnly is for who would write: the knowledge of folders may be an hour old.
var errReadOnly = errors.New("a place that is kept open is only read from")

// A kept place is open for all who ask.
type kept struct {
	record.Folder
	since time.Time

	mu      sync.Mutex // guards spoiled
	spoiled bool       // it failed, or what it listed may be of a folder that is gone
}

func (f *kept) old(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spoiled || now.Sub(f.since) >= keptFor || now.Before(f.since)
}

// judge notes that the place has to be opened again.
func (f *kept) judge(spoiled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spoiled = f.spoiled || spoiled
}

func (f *kept) failed(err error) error {
	f.judge(err != nil && !errors.Is(err, fs.ErrNotExist))
	return err
}

// Get implements blob.Store.
func (f *kept) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	r, err := f.Folder.Get(ctx, p, offset, length)
	return r, f.failed(err)
}

// Stat implements blob.Store.
func (f *kept) Stat(ctx context.Context, p string) (blob.Object, error) {
	o, err := f.Folder.Stat(ctx, p)
	return o, f.failed(err)
}

// List implements blob.Store. Where it finds nothing, the folder may be another one by now:
// who asks next asks afresh.
func (f *kept) List(ctx context.Context, dir string) ([]blob.Object, error) {
	objects, err := f.Folder.List(ctx, dir)
	f.judge(err == nil && len(objects) == 0)
	return objects, f.failed(err)
}

// Put implements blob.Store.
func (f *kept) Put(context.Context, string, io.Reader, int64) (blob.Proof, error) {
	return blob.Proof{}, errReadOnly
}

// Delete implements blob.Store.
func (f *kept) Delete(context.Context, string) error { return errReadOnly }

// Close implements record.Folder: it stays open.
func (f *kept) Close(context.Context) error { return nil }
