package mounter

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"
)

// A listing of Drive may lack what was just stored. A file counts as stored, and a folder as
// made, once a listing has it: until then the file waits in the cache, which answers for it,
// also after the mounter was killed. So rclone never sees a listing that lacks a file of which
// only the remote has the content, or one that has an older file of its name. What is looked up
// is also what rclone compares with the cached file, by size and checksum: the answer to an
// upload proves less.

// errLate means that the remote has a file, or a folder, and no listing shows it.
var errLate = errors.New("the remote does not list yet what it has stored")

const (
	lateFirst = 50 * time.Millisecond // until the second look, and twice as long each time after that
	lateMost  = 2 * time.Second
)

// store uploads a file of which rclone has no object.
func (h *held) store(ctx context.Context, in io.Reader, src fs.ObjectInfo, options ...fs.OpenOption) (fs.Object, error) {
	create, name := h.Fs.Features().PutUnchecked, src.Remote()
	if !h.features.DuplicateFiles || create == nil {
		create = h.Fs.Put
	}
	o, err := h.present(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case o == nil:
		o, err = create(ctx, in, src, options...)
	case !same(ctx, o, src, h.Precision()):
		err = o.Update(ctx, in, src, options...)
	}
	if err != nil {
		h.doubts.add(name, nil)
		return nil, err
	}
	h.doubts.add(name, o)
	if o, err = h.seen(ctx, o); err != nil {
		return nil, err
	}
	h.doubts.end(name)
	h.written.add(parent(name))
	return o, nil
}

// present returns an object to upload to, nil where there is none. It does not look for one
// where rclone would know it.
func (h *held) present(ctx context.Context, name string) (fs.Object, error) {
	o, doubted := h.doubts.about(name)
	if o == nil && (doubted || h.others) {
		var err error
		if o, err = h.Fs.NewObject(ctx, name); err != nil {
			if absent(err) {
				err = nil
			}
			return nil, err
		}
	}
	if o == nil || h.gone.has(idOf(o)) {
		return nil, nil
	}
	return h.moved(ctx, o, name)
}

// moved returns an object under another name.
func (h *held) moved(ctx context.Context, o fs.Object, name string) (fs.Object, error) {
	move := h.Fs.Features().Move
	if o.Remote() == name || move == nil {
		return o, nil
	}
	return move(ctx, o, name)
}

// same reports whether an object is what would be uploaded, by a checksum.
func same(ctx context.Context, o fs.Object, src fs.ObjectInfo, precision time.Duration) bool {
	if o.Size() != src.Size() || o.ModTime(ctx).Sub(src.ModTime(ctx)).Abs() > precision {
		return false
	}
	kind := o.Fs().Hashes().Overlap(src.Fs().Hashes()).GetOne()
	if kind == hash.None {
		return false
	}
	there, err := o.Hash(ctx, kind)
	if err != nil || there == "" {
		return false
	}
	here, err := src.Hash(ctx, kind)
	return err == nil && here == there
}

// seen returns an object as it is listed, once it is, and no older one of its name. Where
// another host has changed the file since, it is the object that was given.
func (h *held) seen(ctx context.Context, o fs.Object) (fs.Object, error) {
	err := awaits(ctx, h.patience, func() (bool, error) {
		listed, err := h.Fs.NewObject(ctx, o.Remote())
		switch {
		case err == nil && idOf(listed) == idOf(o):
			if !listed.ModTime(ctx).After(o.ModTime(ctx)) {
				o = listed
			}
			return true, nil
		case err == nil:
			return h.alone(ctx, o)
		case absent(err):
			return false, nil
		}
		return false, err
	})
	return o, err
}

// alone removes the older files of an object's name, and reports false where a listing has
// only those.
func (h *held) alone(ctx context.Context, o fs.Object) (bool, error) {
	twins, err := h.named(ctx, o.Remote())
	listed := false
	for _, twin := range twins {
		listed = listed || idOf(twin) == idOf(o)
	}
	if err != nil || !listed {
		return false, err
	}
	for _, twin := range twins {
		if idOf(twin) == idOf(o) || h.others && newer(ctx, twin, o) > 0 {
			continue
		}
		if !h.may() {
			return false, errHeld
		}
		if err := h.remove(ctx, twin); err != nil {
			return false, err
		}
	}
	return true, nil
}

// seenFolder returns once a listing has a folder.
func (h *held) seenFolder(ctx context.Context, dir string) error {
	if !h.features.DuplicateFiles || dir == "" {
		return nil
	}
	return awaits(ctx, h.patience, func() (bool, error) {
		entries, err := h.listed(ctx, parent(dir))
		for _, e := range entries {
			if _, is := e.(fs.Directory); is && e.Remote() == dir {
				return true, nil
			}
		}
		return false, err
	})
}

// awaits asks again and again, and gives up after patience: the one who asked tries later.
func awaits(ctx context.Context, patience time.Duration, is func() (bool, error)) error {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for pause := lateFirst; ; pause = min(2*pause, lateMost) {
		done, err := is()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			return errLate
		case <-time.After(pause):
		}
	}
}

// remove removes an object, and remembers that: what is uploaded over one in the trash is in
// the trash.
func (h *held) remove(ctx context.Context, o fs.Object) error {
	h.gone.add(idOf(o))
	return o.Remove(ctx)
}

// goneMost is how many ids of removed files are remembered. An upload over a removed file is one
// that was under way, or failed and is made again.
const goneMost = 1 << 14

// gone are ids of files that were removed last.
type gone struct {
	mu    sync.Mutex
	ids   map[string]bool
	order []string
}

func (g *gone) add(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if id == "" || g.ids[id] {
		return
	}
	if g.ids == nil {
		g.ids = map[string]bool{}
	}
	if len(g.order) == goneMost {
		delete(g.ids, g.order[0])
		g.order = g.order[1:]
	}
	g.ids[id], g.order = true, append(g.order, id)
}

func (g *gone) has(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ids[id]
}
