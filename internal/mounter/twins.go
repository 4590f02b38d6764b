package mounter

import (
	"cmp"
	"context"
	"errors"
	"path"
	"strings"

	"github.com/rclone/rclone/fs"
)

// Drive lets several files have one name. They come about when the answer to an upload is
// lost and a listing lacks what was stored. The newest one is the file; the others go to the
// remote's trash when a folder is listed, and with the file when that is removed.

// newer compares files of one name.
func newer(ctx context.Context, a, b fs.Object) int {
	if c := a.ModTime(ctx).Compare(b.ModTime(ctx)); c != 0 {
		return c
	}
	return cmp.Compare(idOf(a), idOf(b))
}

func idOf(o fs.Object) string {
	if with, ok := o.(fs.IDer); ok {
		return with.ID()
	}
	return ""
}

// apart returns the entries with one file for each name, and the other files.
func apart(ctx context.Context, entries fs.DirEntries) (unique fs.DirEntries, others []fs.Object) {
	at := map[string]int{}
	for _, e := range entries {
		o, ok := e.(fs.Object)
		if !ok {
			unique = append(unique, e)
			continue
		}
		i, again := at[o.Remote()]
		if !again {
			at[o.Remote()] = len(unique)
			unique = append(unique, o)
			continue
		}
		first := unique[i].(fs.Object)
		if newer(ctx, first, o) < 0 {
			unique[i], o = o, first
		}
		others = append(others, o)
	}
	return unique, others
}

// listed is List of the remote without twins.
func (h *held) listed(ctx context.Context, dir string) (fs.DirEntries, error) {
	entries, err := h.Fs.List(ctx, dir)
	if err != nil || !h.features.DuplicateFiles {
		return entries, err
	}
	entries, others := apart(ctx, entries)
	for _, o := range others {
		if h.may() {
			_ = o.Remove(ctx) // the next listing tries again
		}
	}
	return entries, nil
}

// removeTwins removes all files of an object's name but itself.
func (h *held) removeTwins(ctx context.Context, of fs.Object) error {
	if !h.features.DuplicateFiles {
		return nil
	}
	dir := path.Dir(of.Remote())
	entries, err := h.Fs.List(ctx, strings.TrimPrefix(dir, "."))
	if errors.Is(err, fs.ErrorDirNotFound) {
		return nil
	}
	for _, e := range entries {
		if o, ok := e.(fs.Object); ok && o.Remote() == of.Remote() && idOf(o) != idOf(of) {
			err = errors.Join(err, o.Remove(ctx))
		}
	}
	return err
}
