package archive

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Pack writes a file or a folder of this computer to a stream, called name; where from ends
// in "/.", what is in the folder. Links are written as links. All of it is root's.
func Pack(stream io.Writer, from, name string) error {
	whole := isWhole(from)
	from = filepath.Clean(from)
	root, err := os.OpenRoot(filepath.Dir(from))
	if err != nil {
		return err
	}
	defer root.Close() // only read from
	p := packing{root: root, out: tar.NewWriter(stream)}
	base := filepath.Base(from)
	if from == "." || base == ".." { // its name is not what it is called
		inner, err := os.OpenRoot(from)
		if err != nil {
			return err
		}
		defer inner.Close()
		p.root, base = inner, "."
	}
	err = fs.WalkDir(p.root.FS(), base, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inner, err := filepath.Rel(base, at)
		if err != nil || whole && inner == "." {
			return err
		}
		if whole {
			return p.entry(at, inner)
		}
		return p.entry(at, path.Join(name, inner))
	})
	return errors.Join(err, p.out.Close())
}

type packing struct {
	root *os.Root
	out  *tar.Writer
}

func (p packing) entry(at, name string) error {
	info, err := p.root.Lstat(at)
	if err != nil {
		return err
	}
	link := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if link, err = p.root.Readlink(at); err != nil {
			return err
		}
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil // a socket or a pipe is nothing that can be copied
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = name, 0, 0, "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if err := p.out.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := p.root.Open(at)
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	_, err = io.Copy(p.out, f)
	return err
}
