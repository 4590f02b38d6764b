package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Changed reports whether the file on the remote is another one than the one that a cached
// file was made from. It is asked of files of which only a part is in the cache.
type Changed func(File) (bool, error)

// Mend prepares the cache of a mounter that may have been killed. Files that rclone would
// mix with others, because their notes do not have all that was written or the file on the
// remote has changed since, are moved to the folder to and returned: they are not uploaded.
// Of every other file that waits for its upload a copy, of the same blocks where the disk can
// do that, is put below keep, in place of the copies of the last time. It may be called again.
func Mend(cache, keep, to string, changed Changed) (moved Unsent, err error) {
	unsent, err := Look(cache)
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(keep); err != nil {
		return nil, err
	}
	for _, f := range unsent {
		away := !f.Whole && !f.Sure
		if !f.Whole && f.Sure && f.Based != "" {
			if away, err = changed(f); err != nil {
				return moved, fmt.Errorf("%s/%s: %w", f.Volume, f.Path, err)
			}
		}
		if !away {
			if err := copyOf(f.in(dataFolder), f.below(keep)); err != nil {
				return moved, err
			}
			continue
		}
		if err := f.move(to); err != nil {
			return moved, err
		}
		moved = append(moved, f)
	}
	return moved, nil
}

// Quarantine moves every file that is not on the remote out of the cache, to the folder to,
// and returns them. The cache must not be in use; what else is in it is removed.
func Quarantine(cache, to string) (Unsent, error) {
	unsent, err := Look(cache)
	if err != nil {
		return nil, err
	}
	for i, f := range unsent {
		if err := f.move(to); err != nil {
			return unsent[:i], err
		}
	}
	return unsent, os.RemoveAll(cache)
}

// Quarantined lists what is in the folders that Quarantine and Mend moved files to. One that
// does not exist is empty.
func Quarantined(dir string) (Unsent, error) {
	var found Unsent
	err := walk(dir, "", func(rel string, info fs.FileInfo) error {
		_, below, _ := strings.Cut(rel, "/") // the first folder is named for the time
		volume, file, _ := strings.Cut(below, "/")
		found = append(found, File{Volume: volume, Path: file, Size: info.Size(), Since: info.ModTime()})
		return nil
	})
	return found, err
}

func (f File) in(folder string) string { return filepath.Join(f.root, folder, f.Volume, f.Path) }

func (f File) below(folder string) string { return filepath.Join(folder, f.Volume, f.Path) }

// move takes the file out of the cache; its note is removed last.
func (f File) move(to string) error {
	at := f.below(to)
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.in(dataFolder), at); err != nil {
		return err
	}
	if err := os.Remove(f.in(notesFolder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// copyOf makes a copy that shares the blocks, or, on disks that can't, a second name.
func copyOf(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	if closed := dst.Close(); err == nil {
		return closed
	}
	if err := os.Remove(to); err != nil {
		return err
	}
	return os.Link(from, to)
}
