package mounter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/rclone/rclone/fs"

	"salvor/internal/mount"
)

// errUnlisted means that the remote does not list, yet, the file of which a part was changed.
var errUnlisted = errors.New("the remote does not list the file of which a part was written")

// again writes to a volume what a killed mounter left, as a program would.
func (s *served) again(left mount.Unsent) error {
	for _, f := range left {
		if f.Volume != s.Name {
			continue
		}
		if err := s.writeAgain(f); err != nil {
			return fmt.Errorf("%s/%s: %w", f.Volume, f.Path, err)
		}
		if err := f.Done(); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) writeAgain(f mount.File) error {
	from, err := f.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	if name, link := strings.CutSuffix(f.Path, fs.LinkSuffix); link {
		target, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		if _, err := s.vfs.Stat(name); err == nil {
			return nil
		}
		return s.vfs.Symlink(string(target), name)
	}
	if dir := path.Dir(f.Path); dir != "." {
		if err := s.vfs.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	flags := os.O_RDWR | os.O_CREATE
	if f.Whole {
		flags |= os.O_TRUNC
		f.Ranges = []mount.Range{{Size: f.Size}}
	} else if node, err := s.vfs.Stat(f.Path); err != nil || node.DirEntry() == nil {
		return errors.Join(errUnlisted, err)
	}
	to, err := s.vfs.OpenFile(f.Path, flags, 0o666)
	if err != nil {
		return err
	}
	for _, r := range f.Ranges {
		if err == nil {
			_, err = io.Copy(io.NewOffsetWriter(to, r.Pos), io.NewSectionReader(from, r.Pos, r.Size))
		}
	}
	if err == nil {
		err = to.Truncate(f.Size)
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	node, err := s.vfs.Stat(f.Path)
	if err != nil {
		return err
	}
	return node.SetModTime(f.Since)
}
