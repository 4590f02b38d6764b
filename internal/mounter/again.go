package mounter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"
	"github.com/rclone/rclone/vfs"

	"salvor/internal/mount"
)

// errUnlisted means that the remote does not list, yet, the file of which a part was changed.
var errUnlisted = errors.New("the remote does not list the file of which a part was written")

// again has a volume what a killed mounter left, as if a program wrote it. What there is no
// room for is set aside.
func (m *Mounter) again(s *served) error {
	for _, f := range m.left {
		if f.Volume != s.Name {
			continue
		}
		if !f.Whole && f.Cached() > mount.Available(m.opt.Cache)-spare {
			if err := f.SetAside(m.opt.Aside); err != nil {
				return err
			}
			m.Aside = append(m.Aside, f)
			continue
		}
		if err := s.writeAgain(f, m.opt.Cache); err != nil {
			return fmt.Errorf("%s/%s: %w", f.Volume, f.Path, err)
		}
		if err := f.Done(); err != nil {
			return err
		}
	}
	return nil
}

// spare is what stays free on the cache's disk when parts of files are written again.
const spare = 1 << 20

func (s *served) writeAgain(f mount.File, cache string) error {
	name := encoder.OS.ToStandardPath(f.Path)
	if name, link := strings.CutSuffix(name, fs.LinkSuffix); link {
		return s.linkAgain(f, name)
	}
	if dir := path.Dir(name); dir != "." {
		if err := s.vfs.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	flags := os.O_RDWR | os.O_CREATE
	if f.Whole {
		flags |= os.O_TRUNC
	} else if node, err := s.vfs.Stat(name); err != nil || node.DirEntry() == nil {
		return errors.Join(errUnlisted, err)
	}
	to, err := s.vfs.OpenFile(name, flags, 0o666)
	if err != nil {
		return err
	}
	if f.Whole {
		// an empty file of that size is opened, and gets the content before it is closed
		if err = to.Truncate(f.Size); err == nil {
			err = f.Return(cache)
		}
	} else {
		err = copyRanges(to, f)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	node, err := s.vfs.Stat(name)
	if err != nil {
		return err
	}
	return node.SetModTime(f.Since)
}

func copyRanges(to vfs.Handle, f mount.File) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	for _, r := range f.Ranges {
		if _, err := io.Copy(io.NewOffsetWriter(to, r.Pos), io.NewSectionReader(from, r.Pos, r.Size)); err != nil {
			return err
		}
	}
	return to.Truncate(f.Size)
}

func (s *served) linkAgain(f mount.File, name string) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	target, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	if _, err := s.vfs.Stat(name); err == nil {
		return nil
	}
	return s.vfs.Symlink(string(target), name)
}
