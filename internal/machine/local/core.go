package local

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCoreDumps keeps this process and all that it starts from leaving their memory,
// with the secrets in it, on a disk when they crash. A limit of one byte rules out
// files and programs that take dumps alike (core(5); fs/coredump.c in Linux).
//
// This process itself is closed to others of the same user, too, see closeMemory.
func NoCoreDumps() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Max = min(limit.Max, 1)
		limit.Cur = limit.Max
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err == nil {
		err = closeMemory()
	}
	if err != nil {
		return fmt.Errorf("rule out core dumps: %w", err)
	}
	return nil
}
