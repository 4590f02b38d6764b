package oracle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Entry is one file, folder or link of a tree.
type Entry struct {
	Path    string            `json:"path"` // relative to the tree, "." for its root
	Mode    string            `json:"mode"` // as ls prints it, with type and special bits
	UID     uint32            `json:"uid"`
	GID     uint32            `json:"gid"`
	ModTime int64             `json:"mtime"` // nanoseconds; zero for folders, whose time a rename inside changes
	Size    int64             `json:"size,omitempty"`
	SHA256  string            `json:"sha256,omitempty"`
	Target  string            `json:"target,omitempty"`  // of a symbolic link
	SameAs  string            `json:"same_as,omitempty"` // the first path, in order, that is a hard link to the same file
	Xattrs  map[string]string `json:"xattrs,omitempty"`  // values in hex
}

// Manifest describes everything under dir, in order of path.
func Manifest(dir string) ([]Entry, error) {
	var entries []Entry
	linked := map[[2]uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entry, err := describe(path, info)
		if err != nil {
			return err
		}
		entry.Path = relative
		if stat := info.Sys().(*syscall.Stat_t); stat.Nlink > 1 && !d.IsDir() {
			inode := [2]uint64{stat.Dev, stat.Ino}
			if first, ok := linked[inode]; ok {
				entry.SameAs = first
			} else {
				linked[inode] = relative
			}
		}
		entries = append(entries, entry)
		return nil
	})
	return entries, err
}

func describe(path string, info fs.FileInfo) (Entry, error) {
	stat := info.Sys().(*syscall.Stat_t)
	e := Entry{Mode: info.Mode().String(), UID: stat.Uid, GID: stat.Gid}
	var err error
	switch {
	case info.Mode().IsRegular():
		e.ModTime, e.Size = info.ModTime().UnixNano(), info.Size()
		e.SHA256, err = digest(path)
	case info.Mode()&fs.ModeSymlink != 0:
		e.ModTime = info.ModTime().UnixNano()
		e.Target, err = os.Readlink(path)
	}
	if err != nil {
		return Entry{}, err
	}
	e.Xattrs, err = xattrs(path)
	return e, err
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func xattrs(path string) (map[string]string, error) {
	names := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Llistxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: path, Err: err}
	}
	found := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr " + name, Path: path, Err: err}
		}
		found[name] = hex.EncodeToString(value[:n])
	}
	return found, nil
}

// Differences says, one line each in order of path, what is not as wanted.
func Differences(want, got []Entry) []string {
	wanted, have := byPath(want), byPath(got)
	paths := slices.Collect(maps.Keys(wanted))
	for path := range have {
		if _, ok := wanted[path]; !ok {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var lines []string
	for _, path := range paths {
		w, wanted := wanted[path]
		h, present := have[path]
		switch {
		case !present:
			lines = append(lines, path+": missing")
		case !wanted:
			lines = append(lines, path+": should not be there")
		case fmt.Sprint(w) != fmt.Sprint(h): // fmt prints maps in order
			lines = append(lines, fmt.Sprintf("%s: want %+v, have %+v", path, w, h))
		}
	}
	return lines
}

func byPath(entries []Entry) map[string]Entry {
	m := make(map[string]Entry, len(entries))
	for _, e := range entries {
		m[e.Path] = e
	}
	return m
}
