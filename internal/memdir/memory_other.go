//go:build !linux

package memdir

import "fmt"

// inMemory: systems without tmpfs keep every folder on a disk.
func inMemory(dir string) error { return fmt.Errorf("%s is on a disk", dir) }
