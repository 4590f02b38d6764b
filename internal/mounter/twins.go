package mounter

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"
)

// Drive lets several files have one name, and several folders. They come about when the
// answer to a call is lost and it is made again. The newest file is the file; the others go to
// the remote's trash when a folder is listed, and with the file when that is removed. Folders
// of one name are made one.

// newer compares files of one name.
func newer(ctx context.Context, a, b fs.Object) int {
	if c := a.ModTime(ctx).Compare(b.ModTime(ctx)); c != 0 {
		return c
	}
	return cmp.Compare(idOf(a), idOf(b))
}

func idOf(e fs.DirEntry) string {
	if with, ok := e.(fs.IDer); ok {
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
	if h.mergeFolders(ctx, entries) {
		if entries, err = h.Fs.List(ctx, dir); err != nil {
			return nil, err
		}
	}
	entries, others := apart(ctx, entries)
	for _, o := range others {
		h.removeTwin(ctx, o)
	}
	return entries, nil
}

// removeTwin removes a file of which a newer one is listed, unless it may be just the one that
// is uploaded to. What fails is tried again with the next listing.
func (h *held) removeTwin(ctx context.Context, o fs.Object) {
	release, free := h.uploads.hold(ctx, 0, o.Remote())
	defer release()
	if free && h.may() {
		_ = h.remove(ctx, o)
	}
}

// mergeFolders makes one folder of those of one name, and reports whether it changed
// anything. rclone would show the content of one of them. All hosts keep the same one.
func (h *held) mergeFolders(ctx context.Context, entries fs.DirEntries) (merged bool) {
	merge := h.Fs.Features().MergeDirs
	if merge == nil {
		return false
	}
	named := map[string][]fs.Directory{}
	for _, e := range entries {
		if d, ok := e.(fs.Directory); ok {
			named[d.Remote()] = append(named[d.Remote()], d)
		}
	}
	for name, twins := range named {
		if len(twins) < 2 {
			continue
		}
		slices.SortFunc(twins, func(a, b fs.Directory) int { return cmp.Compare(a.ID(), b.ID()) })
		release, free := h.uploads.hold(ctx, heldMost, name)
		if free && h.may() {
			_ = merge(ctx, twins) // the next listing tries again
			merged = true
		}
		release()
	}
	return merged
}

// removeTwins removes all files of an object's name but itself.
func (h *held) removeTwins(ctx context.Context, of fs.Object) error {
	if !h.features.DuplicateFiles {
		return nil
	}
	twins, err := h.named(ctx, of.Remote())
	for _, o := range twins {
		if idOf(o) != idOf(of) {
			err = errors.Join(err, h.remove(ctx, o))
		}
	}
	return err
}

// named lists all files of a name.
func (h *held) named(ctx context.Context, name string) ([]fs.Object, error) {
	entries, err := h.Fs.List(ctx, parent(name))
	if errors.Is(err, fs.ErrorDirNotFound) {
		return nil, nil
	}
	var all []fs.Object
	for _, e := range entries {
		if o, ok := e.(fs.Object); ok && o.Remote() == name {
			all = append(all, o)
		}
	}
	return all, err
}

// parent returns the folder of a path, "" for the top.
func parent(name string) string { return strings.TrimPrefix(path.Dir(name), ".") }
