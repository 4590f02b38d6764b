// Package remote is remote storage in memory, with the faults that storage has: it is
// slow, cut off, full, keeps a part of what it was given, and lists late.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/blob"
	"salvor/internal/storage"
)

// ErrFull is what a remote without room answers.
var ErrFull = errors.New("no space left on the remote")

// Faults are what goes wrong on a remote. The zero value is a remote that is well.
type Faults struct {
	Away bool          // nothing gets through
	Full bool          // nothing can be stored
	Slow time.Duration // each call takes so long
	Late time.Duration // after which an object shows up in listings
	Cut  int           // so many more calls get through, then none does; 0 for all
	Lame int           // the so manyth pack that is read from now is cut off, and so is all that follows; 0 for none
	Rot  int           // the so manyth pack that is read from now arrives damaged; 0 for none
	Torn int           // the so manyth index or snapshot from now loses its end once it is stored; 0 for none
}

type object struct {
	content []byte
	listed  time.Time // from when on listings have it
}

// A Remote is what is on one remote. It is safe for concurrent use.
type Remote struct {
	mu      sync.Mutex // guards everything
	objects map[string]object
	faults  Faults
}

// New returns a remote that is empty and well.
func New() *Remote { return &Remote{objects: map[string]object{}} }

// Set has these things go wrong from now on, and no others.
func (r *Remote) Set(f Faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = f
}

// Search calls found for every object with its content.
func (r *Remote) Search(found func(path string, content []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, o := range r.objects {
		found(p, o.content)
	}
}

// begin is the way to the remote: it takes its time, and may be cut.
func (r *Remote) begin(ctx context.Context) error {
	r.mu.Lock()
	f := r.faults
	cut := f.Away
	if f.Cut > 0 {
		if r.faults.Cut--; r.faults.Cut == 0 {
			r.faults.Away = true
		}
	}
	r.mu.Unlock()
	if f.Slow > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(f.Slow):
		}
	}
	if cut {
		return fmt.Errorf("connect: %w", storage.ErrUnreachable)
	}
	return ctx.Err()
}

// A Folder is a place on a remote, as one process reaches it. It implements
// blob.Store.
type Folder struct {
	remote *Remote
	at     string
	edge   func(ctx context.Context, op string) error
	calm   bool // no fault is met, and listings have everything
}

// Calm returns a folder as it really is, whatever goes wrong on the way to it.
func (r *Remote) Calm(at string) *Folder {
	return &Folder{remote: r, at: at, edge: func(context.Context, string) error { return nil }, calm: true}
}

// Open returns a folder. edge is asked before and after each call: its error is the
// call's, which has happened when it was asked the second time.
func (r *Remote) Open(at string, edge func(ctx context.Context, op string) error) *Folder {
	return &Folder{remote: r, at: at, edge: edge}
}

// Close implements record.Folder.
func (f *Folder) Close(context.Context) error { return nil }

func (f *Folder) call(ctx context.Context, op, p string, work func(at string) error) error {
	if !blob.ValidPath(p) && (op != "list" || p != "") {
		return fmt.Errorf("%s: %q is not a path below the folder", op, p)
	}
	what := "remote " + op + " " + kind(f.at, p)
	err := f.edge(ctx, what)
	if err == nil && !f.calm {
		err = f.remote.begin(ctx)
	}
	if err == nil {
		f.remote.mu.Lock()
		err = work(path.Join(f.at, p))
		f.remote.mu.Unlock()
	}
	if err == nil {
		err = f.edge(ctx, what+" answered")
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", op, path.Join(f.at, p), err)
	}
	return nil
}

// kind is what an object is about, without the names that chance gives.
func kind(at, p string) string {
	first, _, _ := strings.Cut(p, "/")
	return path.Join(path.Base(path.Dir(at)), first)
}

// Put implements blob.Store.
func (f *Folder) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	data, err := io.ReadAll(content)
	if err == nil && int64(len(data)) != size {
		err = fmt.Errorf("%d bytes instead of %d", len(data), size)
	}
	if err != nil {
		return blob.Proof{}, fmt.Errorf("put %s: %w", p, err)
	}
	err = f.call(ctx, "put", p, func(at string) error {
		if f.remote.faults.Full {
			return ErrFull
		}
		f.remote.objects[at] = object{content: f.remote.torn(at, data), listed: time.Now().Add(f.remote.faults.Late)}
		return nil
	})
	return blob.Proof{Size: size, By: "md5"}, err
}

// torn is what is left of an index or a snapshot once it was acknowledged.
func (r *Remote) torn(at string, data []byte) []byte {
	dir := path.Base(path.Dir(at))
	if r.faults.Torn == 0 || dir != "index" && dir != "snapshots" {
		return data
	}
	if r.faults.Torn--; r.faults.Torn > 0 {
		return data
	}
	return data[:len(data)/2]
}

func (f *Folder) find(at string) (object, error) {
	o, ok := f.remote.objects[at]
	if !ok {
		return o, blob.ErrNotExist
	}
	return o, nil
}

// Get implements blob.Store.
func (f *Folder) Get(ctx context.Context, p string, offset, length int64) (io.ReadCloser, error) {
	var data []byte
	err := f.call(ctx, "get", p, func(at string) error {
		o, err := f.find(at)
		data = o.content
		if err == nil && !f.calm && strings.HasPrefix(p, "data/") {
			data, err = f.remote.read(data)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	data = data[min(offset, int64(len(data))):]
	if length >= 0 {
		data = data[:min(length, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// read is what arrives of a pack.
func (r *Remote) read(data []byte) ([]byte, error) {
	if r.faults.Lame > 0 {
		if r.faults.Lame--; r.faults.Lame == 0 {
			r.faults.Away = true
			return nil, fmt.Errorf("read: %w", storage.ErrUnreachable)
		}
	}
	if r.faults.Rot > 0 {
		if r.faults.Rot--; r.faults.Rot == 0 {
			data = bytes.Clone(data)
			for i := range data {
				data[i] ^= 0x55
			}
		}
	}
	return data, nil
}

// Stat implements blob.Store.
func (f *Folder) Stat(ctx context.Context, p string) (blob.Object, error) {
	found := blob.Object{Path: p}
	err := f.call(ctx, "stat", p, func(at string) error {
		o, err := f.find(at)
		found.Size = int64(len(o.content))
		return err
	})
	return found, err
}

// List implements blob.Store.
func (f *Folder) List(ctx context.Context, dir string) ([]blob.Object, error) {
	var found []blob.Object
	err := f.call(ctx, "list", dir, func(at string) error {
		for p, o := range f.remote.objects {
			if rest, ok := strings.CutPrefix(p, at+"/"); ok && (f.calm || !time.Now().Before(o.listed)) {
				found = append(found, blob.Object{Path: rest, Size: int64(len(o.content))})
			}
		}
		return nil
	})
	slices.SortFunc(found, func(a, b blob.Object) int { return strings.Compare(a.Path, b.Path) })
	return found, err
}

// Delete implements blob.Store.
func (f *Folder) Delete(ctx context.Context, p string) error {
	return f.call(ctx, "delete", p, func(at string) error {
		_, err := f.find(at)
		delete(f.remote.objects, at)
		return err
	})
}
