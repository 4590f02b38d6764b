package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// immutableFlag is FS_IMMUTABLE_FL of linux/fs.h.
const immutableFlag = 0x10

// Prepare makes the folder that a mount stands on, and has no one, root included, write
// into it: it is immutable, or a file system of its own that is read-only, where the disk
// does not know immutable folders. A mount that is there already, of a mounter that died,
// is taken away. It may be called again.
func Prepare(point string) error {
	for occupied(point) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		return err
	}
	if err := immutable(point, true); err == nil || readOnly(point) {
		return nil
	}
	if err := unix.Mount("none", point, "tmpfs", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, "mode=0555,size=4k"); err != nil {
		return fmt.Errorf("make %s read-only: %w", point, err)
	}
	return nil
}

// Remove removes the folder that a mount stood on. Nothing may be mounted there.
func Remove(point string) error {
	if readOnly(point) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	err := immutable(point, false)
	if err == nil || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP) {
		err = os.Remove(point)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Mounted reports whether a mount of a shared volume answers at a folder.
func Mounted(point string) bool { return kindOf(point) == unix.FUSE_SUPER_MAGIC }

// occupied reports whether there is a mount of a shared volume, whose mounter may be gone.
func occupied(point string) bool {
	var st unix.Statfs_t
	err := unix.Statfs(point, &st)
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED) || err == nil && st.Type == unix.FUSE_SUPER_MAGIC
}

// readOnly reports whether the folder is a file system of its own, that Prepare made.
func readOnly(point string) bool {
	var st unix.Statfs_t
	if kindOf(point) != unix.TMPFS_MAGIC || kindOf(filepath.Dir(point)) == unix.TMPFS_MAGIC && sameDevice(point, filepath.Dir(point)) {
		return false
	}
	return unix.Statfs(point, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

func sameDevice(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

func kindOf(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return 0
	}
	return st.Type
}

// immutable sets or clears the flag of a folder (ioctl_iflags(2)).
func immutable(dir string, on bool) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return err
	}
	if flags&immutableFlag != 0 == on {
		return nil
	}
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags^immutableFlag)
}

// Kind is how /proc/mounts names the mounts of shared volumes, after "fuse.".
const Kind = "salvor"

// Source is how it names what is mounted.
func Source(stack, volume string) string { return "salvor:" + stack + "/" + volume }
