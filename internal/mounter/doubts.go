package mounter

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/rclone/rclone/fs"
)

// doubts are paths of files that the remote may have although rclone does not know its
// object: those whose upload failed, perhaps after the remote had stored them. A rename or removal of such a file would reach only the cache.
type doubts struct {
	mu    sync.Mutex
	paths map[string]bool
}

func (d *doubts) add(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]bool{}
	}
	d.paths[path] = true
}

func (d *doubts) about(path string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.paths[path]
}

// renamed notes that a file or a folder has another name; "" for none.
func (d *doubts) renamed(from, to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.paths {
		rest, below := strings.CutPrefix(p, from+"/")
		if p != from && !below {
			continue
		}
		delete(d.paths, p)
		switch {
		case to == "":
		case below:
			d.paths[to+"/"+rest] = true
		default:
			d.paths[to] = true
		}
	}
}

// lost returns the remote's object of a path in doubt, nil where there is none.
func (h *held) lost(ctx context.Context, path string) (fs.Object, error) {
	if !h.doubts.about(path) {
		return nil, nil
	}
	o, err := h.NewObject(ctx, path)
	if errors.Is(err, fs.ErrorObjectNotFound) || errors.Is(err, fs.ErrorDirNotFound) || errors.Is(err, fs.ErrorIsDir) {
		return nil, nil
	}
	return o, err
}

// moveLost renames on the remote what rclone does not know to be there.
func (h *held) moveLost(ctx context.Context, from, to string) error {
	o, err := h.lost(ctx, from)
	if err != nil || o == nil || h.features.Move == nil {
		return err
	}
	_, err = h.features.Move(ctx, o, to)
	return err
}

// removeLost removes from the remote what rclone does not know to be there.
func (h *held) removeLost(ctx context.Context, path string) error {
	o, err := h.lost(ctx, path)
	if err != nil || o == nil {
		return err
	}
	return o.Remove(ctx)
}
