package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
)

// ErrDiffers is wrapped by errors that mean: what was restored is not what the
// snapshot holds.
var ErrDiffers = errors.New("restored data differs from the snapshot")

// verify compares what restic wrote with what the repository says, as read by
// our own reader: every name, type, mode, owner, size, time, link and extended
// attribute, and that there is nothing else. Content was compared with its hash
// by restic.
func (t target) verify(ctx context.Context, repo *repository.Repository, version restic.Version) error {
	c := &comparison{links: map[[2]uint64]uint64{}}
	err := c.node(t.path, t.node)
	if err == nil && t.node.Type == "dir" {
		err = repo.Walk(ctx, t.node, func(rel string, n repository.Node) error {
			return c.node(filepath.Join(t.path, rel), n)
		})
	}
	if err == nil {
		err = c.nothingElse(t.path)
	}
	if err == nil && !version.AtLeast(0, 15) {
		err = t.digHoles()
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", t.volume.Name, err)
	}
	return nil
}

type comparison struct {
	links map[[2]uint64]uint64 // inode in the snapshot to inode here
	count int
}

func (c *comparison) node(path string, n repository.Node) error {
	if n.Type == "socket" { // a socket without its server means nothing; restic makes none
		return nil
	}
	c.count++
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	st := info.Sys().(*syscall.Stat_t)
	differs := func(what string, is, want any) error {
		return fmt.Errorf("%w: %s: %s is %v, want %v", ErrDiffers, path, what, is, want)
	}
	switch {
	case info.Mode() != n.Mode:
		return differs("mode", info.Mode(), n.Mode)
	case st.Uid != n.UID || st.Gid != n.GID:
		return differs("owner", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", n.UID, n.GID))
	case n.Type == "file" && info.Size() != n.Size:
		return differs("size", info.Size(), n.Size)
	case n.Type != "symlink" && !info.ModTime().Equal(n.ModTime):
		return differs("time", info.ModTime(), n.ModTime)
	}
	if n.Type == "symlink" {
		if to, err := os.Readlink(path); err != nil || to != n.Target() {
			return differs("target", to, n.Target())
		}
	}
	if n.Type == "file" && n.Links > 1 {
		key := [2]uint64{n.Device, n.Inode}
		if first, ok := c.links[key]; ok && first != st.Ino {
			return differs("inode", st.Ino, first)
		}
		c.links[key] = st.Ino
	}
	return attributes(path, n)
}

// attributes compares extended attributes. Those that the host's security module
// adds do not count.
func attributes(path string, n repository.Node) error {
	here, err := listAttributes(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var want []string
	for _, a := range n.Attributes {
		want = append(want, a.Name)
		value := make([]byte, len(a.Value)+1)
		size, err := unix.Lgetxattr(path, a.Name, value)
		if err != nil || string(value[:size]) != string(a.Value) {
			return fmt.Errorf("%w: %s: attribute %s is missing or has another value", ErrDiffers, path, a.Name)
		}
	}
	for _, name := range here {
		if !slices.Contains(want, name) && !strings.HasPrefix(name, "security.") {
			return fmt.Errorf("%w: %s: attribute %s should not be there", ErrDiffers, path, name)
		}
	}
	return nil
}

func listAttributes(path string) ([]string, error) {
	size, err := unix.Llistxattr(path, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(path, list); err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(list[:size]), func(r rune) bool { return r == 0 }), nil
}

func (c *comparison) nothingElse(root string) error {
	found := 0
	err := filepath.WalkDir(root, func(_ string, _ fs.DirEntry, err error) error {
		found++
		return err
	})
	if err == nil && found != c.count {
		err = fmt.Errorf("%w: %d files and folders, want %d", ErrDiffers, found, c.count)
	}
	return err
}

// syncTargets waits until everything written to the targets is on disk, with one
// call for each file system: a marker must not say ready of data that a power
// cut can still take.
func syncTargets(targets []target) error {
	synced := map[uint64]bool{}
	for _, t := range targets {
		device := deviceOf(t.path)
		if synced[device] {
			continue
		}
		synced[device] = true
		f, err := os.Open(filepath.Dir(t.path))
		if err != nil {
			return err
		}
		if err := errors.Join(writeOut(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// digHoles gives files that had holes their holes back. What was restored may have
// links: none of them leads out of it.
func (t target) digHoles() (err error) {
	if len(t.volume.Sparse) == 0 {
		return nil
	}
	folder, single := t.path, ""
	if t.node.Type != "dir" {
		folder, single = filepath.Split(t.path)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, rel := range t.volume.Sparse {
		if !filepath.IsLocal(rel) {
			return fmt.Errorf("%q is not a path in a volume", rel)
		}
		if err := digHoles(root, filepath.Join(single, rel)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// hole is the least run of zeros worth a hole, and its alignment.
const hole = 64 << 10

// digHoles turns aligned runs of zeros of a regular file into holes, which read the
// same. Size and time stay.
func digHoles(root *os.Root, name string) (err error) {
	if info, err := root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := root.OpenFile(name, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	buffer, zeros := make([]byte, hole), make([]byte, hole)
	for at := int64(0); at+hole <= info.Size(); at += hole {
		if _, err := f.ReadAt(buffer, at); err != nil {
			return err
		}
		if string(buffer) != string(zeros) {
			continue
		}
		err := punch(f, at, hole)
		if errors.Is(err, unix.EOPNOTSUPP) {
			break
		}
		if err != nil {
			return err
		}
	}
	return root.Chtimes(name, info.ModTime(), info.ModTime())
}
