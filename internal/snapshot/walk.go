package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A node is a file or folder that walk has come to. What the stack makes of its
// place meanwhile leads nowhere else: it is opened below root.
type node struct {
	root *os.Root
	name string // below root
	rel  string // below what is walked: "." for that itself
	info fs.FileInfo
}

// walk calls visit for a folder and all that is below it, each folder's entries in
// the order of their bytes, or for a single file. Names may be any bytes. A link at
// path itself is followed, as Docker does for a bind's source, and no other. What
// vanishes meanwhile is skipped; a path that does not exist is fs.ErrNotExist.
func walk(path string, visit func(node) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	name := "."
	if !info.IsDir() {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
		path, name = filepath.Split(path)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	defer root.Close()
	n := node{root: root, name: name, rel: ".", info: info}
	if !info.IsDir() {
		return visit(n)
	}
	return descend(n, visit)
}

func descend(n node, visit func(node) error) error {
	if err := visit(n); err != nil || !n.info.IsDir() {
		return err
	}
	below, err := n.entries()
	if err != nil {
		return ignoreVanished(err)
	}
	for _, entry := range below {
		info, err := entry.Info()
		if err != nil {
			if err = ignoreVanished(err); err != nil {
				return err
			}
			continue
		}
		at := filepath.Join(n.rel, entry.Name())
		if err := descend(node{root: n.root, name: at, rel: at, info: info}, visit); err != nil {
			return err
		}
	}
	return nil
}

// entries lists a folder. One that is something else by now has vanished.
func (n node) entries() ([]fs.DirEntry, error) {
	dir, err := n.root.OpenFile(n.name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	all, err := dir.ReadDir(-1)
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, err
}

// open opens a regular file for reading; nil for what no longer is one.
func (n node) open() (*os.File, error) {
	f, err := n.root.OpenFile(n.name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, ignoreVanished(err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func ignoreVanished(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}
