package delivery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"salvor/internal/memdir"

	"golang.org/x/sys/unix"
)

// The root is for root alone: containers see what is bound into them, and a
// file that asks for mode 0444 is still not readable by the host's other users.
const rootMode = 0o700

// sizeLimit bounds the tmpfs: secrets are small, and memory is the host's.
const sizeLimit = "64m"

const mountFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// Mount makes root a file system of its own in memory, once: when it is one already
// nothing changes. Neither kind is ever swapped out: a tmpfs is mounted noswap (Linux
// 6.4) or not at all. It needs root's rights.
func Mount(root string) (memdir.Kind, error) {
	if err := os.MkdirAll(root, rootMode); err != nil {
		return "", err
	}
	if kind, err := mounted(root); kind != "" || err != nil {
		return kind, err
	}
	options := fmt.Sprintf("mode=%04o,size=%s,noswap", rootMode, sizeLimit)
	err := unix.Mount("tmpfs", root, "tmpfs", mountFlags, options)
	if err == nil {
		return memdir.Tmpfs, nil
	}
	if !errors.Is(err, unix.EINVAL) {
		return "", fmt.Errorf("mount tmpfs on %s: %w", root, err)
	}
	// A kernel before 6.4 does not know noswap. ramfs never swaps.
	if err := unix.Mount("ramfs", root, "ramfs", mountFlags, fmt.Sprintf("mode=%04o", rootMode)); err != nil {
		return "", fmt.Errorf("mount ramfs on %s: %w", root, err)
	}
	return memdir.Ramfs, nil
}

// mounted returns the kind of root when it is a file system of its own in memory, ""
// when it is not a mount point.
func mounted(root string) (memdir.Kind, error) {
	var here, above unix.Stat_t
	if err := errors.Join(unix.Lstat(root, &here), unix.Lstat(filepath.Dir(root), &above)); err != nil {
		return "", fmt.Errorf("stat %s: %w", root, err)
	}
	if here.Dev == above.Dev {
		return "", nil
	}
	return memory(root)
}

// memory returns the kind of file system that path is on; one that is not in
// memory is an error, since plaintext must not reach a disk.
func memory(path string) (memdir.Kind, error) {
	kind, err := memdir.KindOf(path)
	if errors.Is(err, memdir.ErrDisk) {
		return "", fmt.Errorf("%w: secrets are kept in memory only", err)
	}
	return kind, err
}
