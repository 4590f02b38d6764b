// Package memdir finds and makes folders in memory, the only ones that plaintext may be
// written to.
package memdir

import (
	"errors"
	"fmt"
	"os"
)

// ErrNone means that no folder in memory is to be had.
var ErrNone = errors.New("no folder in memory (tmpfs) to write to")

// ErrDisk means that a path is not in memory.
var ErrDisk = errors.New("is on a disk")

// Kind is a kind of file system in memory.
type Kind string

// The kinds. A tmpfs can be swapped out unless it is mounted noswap; a ramfs never is.
const (
	Tmpfs Kind = "tmpfs"
	Ramfs Kind = "ramfs"
)

// Usual returns where a Linux system has memory for its users' files. macOS has no such
// folder: New returns ErrNone there (docs/install.md).
func Usual() []string {
	return []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"}
}

// New makes a folder that only this user can look into, below the first of these that
// is in memory, by what the kernel says of the new folder itself. The error wraps
// ErrNone where none is. Anyone who calls it removes the folder with Remove.
func New(below ...string) (string, error) {
	tried := []error{ErrNone}
	for _, parent := range below {
		if parent == "" {
			continue
		}
		dir, err := os.MkdirTemp(parent, "salvor-")
		if err != nil {
			tried = append(tried, err)
			continue
		}
		if _, err := KindOf(dir); err != nil {
			tried = append(tried, err, os.Remove(dir))
			continue
		}
		return dir, nil
	}
	return "", oneLine(tried)
}

// Remove removes a folder that New made, with what is in it.
func Remove(dir string) error { return os.RemoveAll(dir) }

// oneLine says why each place would not do.
func oneLine(errs []error) error {
	err := errs[0]
	for _, e := range errs[1:] {
		if e != nil {
			err = fmt.Errorf("%w; %w", err, e)
		}
	}
	return err
}
