package mounter

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// unmount takes a volume away. One that is in use is gone from its folder, and ends once no
// one has it open any more: what still uses it must be a program of the host's own.
func unmount(s *served) error {
	err := unix.Unmount(s.Point, 0)
	if err == unix.EBUSY {
		err = unix.Unmount(s.Point, unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", s.Point, err)
	}
	return nil
}
