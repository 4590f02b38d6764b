package snapshot

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/internal/fleet"
)

// A node is a file or folder that walk has come to. What the stack makes of its
// place meanwhile leads nowhere else: it is opened below root.
type node struct {
	root *os.Root
	name string // below root
	rel  string // below what is walked: "." for that itself
	info fs.FileInfo

	left   bool // snapshots leave it out
	listed bool // and a pattern says so
	cache  bool // a folder of which snapshots keep nothing but cacheTag
}

// walk calls visit for a folder and all that is below it, each folder's entries in
// the order of their bytes, or for a single file. Names may be any bytes. A link at
// path itself is followed, as Docker does for a bind's source, and no other. What
// vanishes meanwhile is skipped; a path that does not exist is fs.ErrNotExist. What is
// left out is visited, too, and marked as that; visit returns fs.SkipDir to skip a folder.
func walk(path string, omit fleet.Omission, visit func(node) error) error {
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
	return (&walker{omit: omit, visit: visit}).descend(n)
}

// kept is walk without what is left out.
func kept(path string, omit fleet.Omission, visit func(node) error) error {
	return walk(path, omit, func(n node) error {
		switch {
		case !n.left:
			return visit(n)
		case n.info.IsDir():
			return fs.SkipDir
		}
		return nil
	})
}

type walker struct {
	omit   fleet.Omission
	visit  func(node) error
	caches int // folders that are caches
}

func (w *walker) descend(n node) error {
	var below []fs.DirEntry
	var unread error
	if n.info.IsDir() {
		below, unread = n.entries()
		w.judge(&n, below)
	}
	if err := w.visit(n); err != nil {
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	if ignoreVanished(unread) != nil {
		return unread
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
		listed := n.listed || w.omit.Matches(at)
		left := n.left || listed || n.cache && entry.Name() != cacheTag
		if err := w.descend(node{root: n.root, name: at, rel: at, info: info, left: left, listed: listed}); err != nil {
			return err
		}
	}
	return nil
}

// judge finds out whether a folder is a cache. Those after a thousand are copied like others, and so is one that can't
// be named in a list of lines: see excludeFile.
func (w *walker) judge(n *node, below []fs.DirEntry) {
	const most = 1000
	if w.omit.Caches && !n.left && w.caches < most && !strings.Contains(n.rel, "\n") && n.tagged(below) {
		n.cache = true
		w.caches++
	}
}

// cacheTag is the file that marks a folder as a cache, by what it begins with
// (https://bford.info/cachedir/).
const (
	cacheTag       = "CACHEDIR.TAG"
	cacheSignature = "Signature: 8a477f597d28d172789f06886806bc55"
)

// tagged reports whether a folder with these entries is marked as a cache.
func (n node) tagged(entries []fs.DirEntry) bool {
	at, found := slices.BinarySearchFunc(entries, cacheTag, func(e fs.DirEntry, name string) int { return strings.Compare(e.Name(), name) })
	if !found || !entries[at].Type().IsRegular() {
		return false
	}
	f, err := node{root: n.root, name: filepath.Join(n.name, cacheTag)}.open()
	if err != nil || f == nil {
		return false
	}
	defer f.Close()
	head := make([]byte, len(cacheSignature))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head) == cacheSignature
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
