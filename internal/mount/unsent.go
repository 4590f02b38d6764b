package mount

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unsynced returns the time of change of a note, in the cache, that may lack ranges which were
// written to its file: rclone writes notes when a file is synchronised or closed. A mounter
// that is killed leaves it so, and rclone would then fill the ranges from the remote, over
// what was written.
func Unsynced() time.Time { return time.Unix(1, 0) }

// rclone keeps a cached file in the first folder, and its note under the same name in the
// second, both below the name of the volume.
const (
	dataFolder  = "vfs"
	notesFolder = "vfsMeta"
)

// A File is one that was written through a mount and is not on the remote yet.
type File struct {
	Volume string
	Path   string // below the volume
	Size   int64
	Since  time.Time // last written
	Based  string    // rclone's fingerprint of the file on the remote that it was made from, "" for a new one
	Whole  bool      // all of its content is in the cache
	Sure   bool      // the note has all that was written
	Ranges []Range   // of it that are in the cache

	root string // the folder that has it: the cache, or the one for what TakeOut took
}

// Cached is how many bytes of a file are in the cache.
func (f File) Cached() int64 {
	var n int64
	for _, r := range f.Ranges {
		n += r.Size
	}
	return n
}

// A Range is a part of a file.
type Range struct{ Pos, Size int64 }

// Unsent are the files that are not on the remote yet, in no order.
type Unsent []File

// Bytes is the size of all of them.
func (u Unsent) Bytes() int64 {
	var n int64
	for _, f := range u {
		n += f.Size
	}
	return n
}

// Oldest is when the one was last written that waits longest, zero for none.
func (u Unsent) Oldest() time.Time {
	if len(u) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(u, func(a, b File) int { return a.Since.Compare(b.Since) }).Since
}

// A note is what rclone keeps about a cached file (vfs/vfscache, type Info).
type note struct {
	ModTime     time.Time
	Size        int64
	Rs          []Range
	Fingerprint string
	Dirty       bool
}

// whole reports whether the ranges cover the file. rclone keeps them sorted and joined.
func (n note) whole(size int64) bool {
	return size == 0 || len(n.Rs) == 1 && n.Rs[0].Pos == 0 && n.Rs[0].Size >= size
}

// Look reads a stack's cache, which may be in use. A cache that does not exist is empty. A file
// that TakeOut or Return moves meanwhile is found.
func Look(cache string) (Unsent, error) {
	var found Unsent
	seen := map[string]bool{}
	for _, from := range []string{takenOut(cache), cache, takenOut(cache)} {
		err := walk(from, dataFolder, func(rel string, info fs.FileInfo) error {
			if seen[rel] {
				return nil
			}
			f, unsent := look(from, rel, info)
			if unsent {
				found = append(found, f)
			}
			seen[rel] = unsent || from != cache
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// look returns a file of a cache if it is not on the remote. One whose note is missing or
// damaged is taken for such a file.
func look(cache, rel string, info fs.FileInfo) (File, bool) {
	volume, below, _ := strings.Cut(rel, "/")
	f := File{Volume: volume, Path: below, Size: info.Size(), Since: info.ModTime(), root: cache}
	at := filepath.Join(cache, notesFolder, rel)
	n, err := readNote(at)
	if err != nil {
		return f, info.Size() > 0
	}
	f.Based, f.Whole, f.Sure, f.Ranges = n.Fingerprint, n.whole(f.Size), true, n.Rs
	f.Since = cmp.Or(n.ModTime, f.Since)
	if changed, err := os.Stat(at); err == nil {
		f.Sure = !changed.ModTime().Equal(Unsynced())
	}
	return f, n.Dirty
}

func readNote(at string) (n note, err error) {
	content, err := os.ReadFile(at)
	if err == nil {
		err = json.Unmarshal(content, &n)
	}
	return n, err
}

// Waits reports whether the file of a note is not on the remote yet: no for a note that is
// missing, yes for one that is damaged.
func Waits(note string) bool {
	n, err := readNote(note)
	return n.Dirty || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// Available returns the bytes that are free on a folder's disk, as many as it takes where
// that is not known.
func Available(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 1 << 62
	}
	return int64(st.Bavail) * st.Bsize
}

// walk calls do for each file below a folder of the cache, by its path there. What is
// removed meanwhile is left out.
func walk(cache, folder string, do func(rel string, info fs.FileInfo) error) error {
	top := filepath.Join(cache, folder)
	return filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		return do(filepath.ToSlash(rel), info)
	})
}

// Uploaded returns the files of one folder of a volume, dir as it is named in the cache, that are
// on the remote and whole in the cache. Based is what the remote had when that was last known.
func Uploaded(cache, volume, dir string) ([]File, error) {
	at := filepath.Join(volume, filepath.FromSlash(dir))
	entries, err := os.ReadDir(filepath.Join(cache, dataFolder, at))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var found []File
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // removed meanwhile, or a folder
		}
		f, unsent := look(cache, filepath.ToSlash(filepath.Join(at, e.Name())), info)
		if !unsent && f.Whole && f.Based != "" {
			found = append(found, f)
		}
	}
	return found, err
}
