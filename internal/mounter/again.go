package mounter

import (
	"context"
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
// room for is set aside, and so is a part of a file that the remote does not have any more.
func (m *Mounter) again(ctx context.Context, s *served) error {
	for _, f := range m.left {
		if f.Volume != s.Name {
			continue
		}
		fits := f.Whole || f.Cached() <= mount.Available(m.opt.Cache)-spare
		if fits {
			err := s.writeAgain(f, m.opt.Cache)
			if errors.Is(err, errUnlisted) {
				err = s.held.gives(ctx, encoder.OS.ToStandardPath(f.Path))
			}
			fits = !errors.Is(err, errLate)
			if fits && err != nil {
				return fmt.Errorf("%s/%s: %w", f.Volume, f.Path, err)
			}
		}
		if !fits {
			if err := f.SetAside(m.opt.Aside); err != nil {
				return err
			}
			m.Aside = append(m.Aside, f)
			continue
		}
		if err := f.Done(); err != nil {
			return err
		}
	}
	return nil
}

// gives looks for a file on the remote that a listing lacks. It returns errUnlisted where the
// remote has it, since the next mounter finds it then, and errLate where it is gone.
func (h *held) gives(ctx context.Context, name string) error {
	err := awaits(ctx, h.patience, func() (bool, error) {
		_, err := h.Fs.NewObject(ctx, name)
		if absent(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err == nil {
		return errUnlisted
	}
	return err
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
	} else if node, err := s.vfs.Stat(name); errors.Is(err, os.ErrNotExist) || err == nil && node.DirEntry() == nil {
		return errUnlisted
	} else if err != nil {
		return err
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
