// Package archive brings a file or a folder into a tar stream and out of one: on this
// computer nothing outside the place that was named is read or written, whatever links are
// in the folder or in the stream.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ErrEmpty means that a stream has nothing in it.
var ErrEmpty = errors.New("the stream is empty")

// Unpack writes what a stream has to a path of this computer, as docker cp does. The
// stream has one file or folder, called as the last part of from, or, where from ends in
// "/.", what is in a folder. What goes into a folder that is there keeps its name; else it
// is called as the path. The times of files are kept; owners are not, and neither are set-uid
// bits. It returns how many devices, sockets and pipes it left out.
func Unpack(stream io.Reader, from, to string) (left int, err error) {
	in := tar.NewReader(stream)
	h, err := in.Next()
	if errors.Is(err, io.EOF) {
		return 0, ErrEmpty
	}
	if err != nil {
		return 0, err
	}
	u := unpacking{whole: isWhole(from)}
	isDir := u.whole || h.Typeflag == tar.TypeDir
	dir, name, err := place(to, path.Base(path.Clean("/"+from)), isDir, u.whole)
	if err != nil {
		return 0, err
	}
	if err := u.open(dir, name, isDir); err != nil {
		return 0, err
	}
	defer u.root.Close() // what was written was closed before
	for ; err == nil; h, err = in.Next() {
		if err := u.entry(h, in); err != nil {
			return u.left, err
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return u.left, err
}

// isWhole reports whether a path means what is in a folder, and not the folder.
func isWhole(p string) bool { return strings.HasSuffix(p, "/.") || path.Clean("/"+p) == "/" }

// place is where what is called base goes: a folder that is there, and its name in it.
func place(to, base string, isDir, whole bool) (dir, name string, err error) {
	info, err := os.Stat(to)
	switch {
	case err == nil && info.IsDir() && isDir && whole:
		return to, ".", nil
	case err == nil && info.IsDir():
		return to, base, nil
	case err == nil && isDir:
		return "", "", fmt.Errorf("%s is not a folder", to)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", err
	case err != nil && !isDir && strings.HasSuffix(to, "/"):
		return "", "", fmt.Errorf("there is no folder %s", to)
	}
	return filepath.Dir(filepath.Clean(to)), filepath.Base(filepath.Clean(to)), nil
}

type unpacking struct {
	root  *os.Root
	name  string // of what is unpacked, in root
	whole bool
	left  int
}

// open opens what nothing is written outside of: the folder that is unpacked, which is made,
// or the one that a file goes into.
func (u *unpacking) open(dir, name string, isDir bool) (err error) {
	if u.root, err = os.OpenRoot(dir); err != nil || !isDir {
		u.name = name
		return err
	}
	u.name = "."
	if name == "." {
		return nil
	}
	outer := u.root
	defer outer.Close()
	if err := u.folder(name, 0o755); err != nil {
		return err
	}
	u.root, err = outer.OpenRoot(name)
	return err
}

// at is where an entry goes, in root.
func (u *unpacking) at(entry string) (string, error) {
	inner := strings.TrimPrefix(path.Clean("/"+entry), "/")
	if !u.whole {
		_, inner, _ = strings.Cut(inner, "/")
	}
	at := filepath.Join(u.name, filepath.FromSlash(inner))
	if strings.Contains(entry, "..") && path.Clean(entry) != path.Clean("/" + entry)[1:] || !filepath.IsLocal(at) {
		return "", fmt.Errorf("%q leads out of what is copied", entry)
	}
	return at, nil
}

func (u *unpacking) entry(h *tar.Header, content io.Reader) error {
	at, err := u.at(h.Name)
	if err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode) & fs.ModePerm
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(at, mode)
	case tar.TypeReg:
		if err := u.file(at, mode, content); err != nil {
			return err
		}
		return u.root.Chtimes(at, h.ModTime, h.ModTime)
	case tar.TypeSymlink:
		return errors.Join(u.clear(at), u.root.Symlink(h.Linkname, at))
	case tar.TypeLink:
		old, err := u.at(h.Linkname)
		if err != nil {
			return err
		}
		return errors.Join(u.clear(at), u.root.Link(old, at))
	}
	u.left++
	return nil
}

func (u *unpacking) folder(at string, mode fs.FileMode) error {
	info, err := u.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return u.root.Mkdir(at, mode|0o700)
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", at)
	}
	return err
}

func (u *unpacking) file(at string, mode fs.FileMode, content io.Reader) error {
	if err := u.clear(at); err != nil {
		return err
	}
	f, err := u.root.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// clear makes room for a file or a link: what is there is replaced, and never written
// through.
func (u *unpacking) clear(at string) error {
	info, err := u.root.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", at)
	case err == nil:
		return u.root.Remove(at)
	}
	return err
}
