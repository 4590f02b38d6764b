package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/fleet"
)

// copiesPaused reports whether a volume's files are copied while the stack is held
// still.
func (t *taking) copiesPaused(v Volume) bool {
	return !t.job.Stopped && (v.Method == fleet.Pause || v.Method == "" || t.copied[v.Name])
}

// readAgain has the next pass read every file again that was written since a pass
// began. By its times alone a file that was written twice within one tick of the
// kernel's clock, before and after it was read, looks as it was read.
func (t *taking) readAgain(began time.Time) error {
	var errs []error
	for _, v := range t.job.Volumes {
		if t.copiesPaused(v) {
			errs = append(errs, touchSince(v.Path, began.Add(-hotFor)))
		}
	}
	return errors.Join(errs...)
}

// touchSince gives every file that was changed since a time a new change time,
// which restic compares, and changes nothing else of it.
func touchSince(path string, since time.Time) error {
	info, err := os.Stat(path)
	if err != nil {
		return ignoreVanished(err)
	}
	start := "."
	if !info.IsDir() {
		path, start = filepath.Dir(path), filepath.Base(path)
	}
	root, err := os.OpenRoot(path) // what the stack makes of it meanwhile leads nowhere else
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), start, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ignoreVanished(err)
		}
		info, err := d.Info()
		if err != nil || changed(info).Before(since) {
			return ignoreVanished(err)
		}
		return touch(root, name)
	})
}

// touch sets the mode that a file has already. One that can't be changed by root
// was not changed by the stack.
func touch(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ignoreVanished(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	err = unix.Fchmod(int(f.Fd()), info.Sys().(*syscall.Stat_t).Mode&0o7777)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// changed is when a file was last changed, by its own word.
func changed(info fs.FileInfo) time.Time {
	return time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
}
