package local

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// NoCoreDumps keeps this process and all that it starts from leaving their memory,
// with the secrets in it, on a disk when they crash. A limit of one byte rules out
// files and programs that take dumps alike (core(5); fs/coredump.c in Linux).
//
// This process itself is closed to others of the same user, too: none of them can
// read its memory or open its files below /proc, whatever Yama says. Neither can a
// debugger of that user; one of root's can. What it starts is open again.
func NoCoreDumps() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		limit.Max = min(limit.Max, 1)
		limit.Cur = limit.Max
		err = unix.Setrlimit(unix.RLIMIT_CORE, &limit)
	}
	if err == nil {
		err = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	}
	if err != nil {
		return fmt.Errorf("rule out core dumps: %w", err)
	}
	return nil
}
