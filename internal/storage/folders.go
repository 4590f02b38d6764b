package storage

import (
	"cmp"
	"context"
	"path"
	"slices"
	"sync"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
)

// above is a folder that a crypt remote is in, from the top of the remote below it.
type above struct {
	fs  fs.Fs
	dir string
}

// folders are those of which there is one of their name, as Drive allows several: two
// are made when two hosts make one at once, or when the answer to the first request is
// lost. Readers look into any of them, so nothing is stored before they are merged.
type folders struct {
	mu     sync.Mutex // guards single, and while they are merged
	single map[fs.Fs]map[string]bool
}

// settleFolders makes a folder where there is none, and sees to it that there is one of
// its name, and one of each folder that it is in.
func (f *Folder) settleFolders(ctx context.Context, dir string) error {
	f.folders.mu.Lock()
	defer f.folders.mu.Unlock()
	for _, top := range f.above {
		if err := f.settleFolder(ctx, top.fs, top.dir); err != nil {
			return err
		}
	}
	return f.settleFolder(ctx, f.fs, dir)
}

// settleFolder does it from the top of a file system on.
func (f *Folder) settleFolder(ctx context.Context, in fs.Fs, dir string) error {
	if dir == "" || dir == "." || f.folders.single[in][dir] {
		return nil
	}
	if err := f.settleFolder(ctx, in, path.Dir(dir)); err != nil {
		return err
	}
	return f.ask(ctx, func(ctx context.Context) error {
		same, err := f.namesakesOf(ctx, in, dir)
		if err == nil && len(same) == 0 {
			if err = in.Mkdir(ctx, dir); err == nil {
				same, err = f.namesakesOf(ctx, in, dir)
			}
		}
		switch {
		case err != nil:
			return err
		case len(same) == 0:
			return fserrors.RetryErrorf("its folder was made and is not listed")
		case len(same) == 1:
			return nil
		}
		return f.merge(ctx, in, same)
	})
}

// namesakesOf returns all folders of a name, and remembers which others in the same
// place are alone.
func (f *Folder) namesakesOf(ctx context.Context, in fs.Fs, dir string) ([]fs.Directory, error) {
	entries, err := in.List(ctx, folderOf(dir))
	if err != nil && !isNotFound(err) {
		return nil, err
	}
	all := map[string][]fs.Directory{}
	entries.ForDir(func(d fs.Directory) { all[d.Remote()] = append(all[d.Remote()], d) })
	for name, same := range all {
		if len(same) == 1 {
			f.isSingle(in, name)
		}
	}
	return all[dir], nil
}

func (f *Folder) isSingle(in fs.Fs, dir string) {
	if f.folders.single == nil {
		f.folders.single = map[fs.Fs]map[string]bool{}
	}
	if f.folders.single[in] == nil {
		f.folders.single[in] = map[string]bool{}
	}
	f.folders.single[in][dir] = true
}

// merge moves what is in folders of one name into the oldest of them, which every host
// takes for the one, and has the file system forget the others.
func (f *Folder) merge(ctx context.Context, in fs.Fs, same []fs.Directory) error {
	slices.SortFunc(same, func(a, b fs.Directory) int {
		return cmp.Or(a.ModTime(ctx).Compare(b.ModTime(ctx)), cmp.Compare(a.ID(), b.ID()))
	})
	err := in.Features().MergeDirs(ctx, same)
	for _, each := range []fs.Fs{in, f.fs} {
		if flush := each.Features().DirCacheFlush; flush != nil {
			flush()
		}
	}
	if err == nil {
		f.isSingle(in, same[0].Remote())
	}
	return err
}

// folderOf returns the folder that something is in, "" for the top.
func folderOf(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}
