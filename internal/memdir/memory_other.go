//go:build !linux

package memdir

import "fmt"

// KindOf returns an error that wraps ErrDisk: systems without tmpfs keep every folder
// on a disk.
func KindOf(path string) (Kind, error) { return "", fmt.Errorf("%s %w", path, ErrDisk) }
