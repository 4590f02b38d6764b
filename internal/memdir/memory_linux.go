package memdir

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// KindOf returns the kind of file system that a path is on. The error wraps ErrDisk
// where that is not in memory.
func KindOf(path string) (Kind, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return "", fmt.Errorf("stat file system of %s: %w", path, err)
	}
	switch fs.Type {
	case unix.TMPFS_MAGIC:
		return Tmpfs, nil
	case unix.RAMFS_MAGIC:
		return Ramfs, nil
	}
	return "", fmt.Errorf("%s %w", path, ErrDisk)
}
