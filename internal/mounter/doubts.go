package mounter

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/rclone/rclone/fs"
)

// doubts are paths of files that the remote may have although rclone does not know its
// object: those whose upload failed, perhaps after the remote had stored them, and those that
// no listing has yet. A rename or removal of such a file would reach only the cache.
type doubts struct {
	mu    sync.Mutex
	paths map[string]fs.Object // nil where it is not known what the remote has
}

// add notes a doubt; o is what the remote has stored, nil where that is not known.
func (d *doubts) add(path string, o fs.Object) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]fs.Object{}
	}
	if o != nil || d.paths[path] == nil {
		d.paths[path] = o
	}
}

// about returns what was added for a path, and whether anything was.
func (d *doubts) about(path string) (o fs.Object, doubted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, doubted = d.paths[path]
	return o, doubted
}

func (d *doubts) end(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.paths, path)
}

// renamed notes that a file or a folder has another name; "" for none.
func (d *doubts) renamed(from, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.paths, to)
	for p, o := range d.paths {
		rest, below := strings.CutPrefix(p, from+"/")
		if p != from && !below {
			continue
		}
		delete(d.paths, p)
		switch {
		case to == "":
		case below:
			d.paths[to+"/"+rest] = o
		default:
			d.paths[to] = o
		}
	}
}

// lost returns the remote's object of a path in doubt, nil where there is none.
func (h *held) lost(ctx context.Context, path string) (fs.Object, error) {
	o, doubted := h.doubts.about(path)
	if o != nil || !doubted {
		return o, nil
	}
	o, err := h.Fs.NewObject(ctx, path)
	if absent(err) {
		return nil, nil
	}
	return o, err
}

// absent reports whether an error means that a file is not there.
func absent(err error) bool {
	return errors.Is(err, fs.ErrorObjectNotFound) || errors.Is(err, fs.ErrorDirNotFound) || errors.Is(err, fs.ErrorIsDir)
}

// moveLost renames on the remote what rclone does not know to be there. known is the object
// that it knows and renames, nil for none. If it knows one, another one of that name is removed.
func (h *held) moveLost(ctx context.Context, from, to string, known fs.Object) error {
	o, err := h.lost(ctx, from)
	if err != nil || o == nil {
		return err
	}
	if known != nil {
		return h.removeOther(ctx, o, known)
	}
	if h.features.Move == nil {
		return nil
	}
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	moved, err := h.Fs.Features().Move(ctx, o, to)
	if err != nil {
		return err
	}
	h.doubts.add(from, moved)
	return nil
}

// follow gives an object the name that its file has. An upload that ends while the file is
// renamed gives rclone an object of the former name.
func (h *held) follow(ctx context.Context, known fs.Object, name string) error {
	o, is := known.(*heldObject)
	if !is {
		return nil
	}
	if strings.HasSuffix(o.Remote(), fs.LinkSuffix) {
		name += fs.LinkSuffix
	}
	if o.Remote() == name {
		return nil
	}
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	moved, err := h.moved(ctx, o.Object, name)
	if err == nil {
		o.Object = moved
	}
	return err
}

// removeLost removes from the remote what rclone does not know to be there. known is the
// object that it knows, nil for none.
func (h *held) removeLost(ctx context.Context, path string, known fs.Object) error {
	o, err := h.lost(ctx, path)
	if err != nil || o == nil {
		return err
	}
	return h.removeOther(ctx, o, known)
}

// removeOther removes an object if it is another one than the one that rclone knows.
func (h *held) removeOther(ctx context.Context, o, known fs.Object) error {
	if known != nil && idOf(o) == idOf(known) {
		return nil
	}
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	return h.remove(ctx, o)
}
