package snapshot

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// outliveParent keeps this process alive when the one that started it ends.
func outliveParent() error { return unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0) }

// writeOut writes out what is in memory for the file system that a file is on.
func writeOut(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// punch makes a hole of n bytes in a file.
func punch(f *os.File, at, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, at, n)
}

// times returns when a file was written and when it was changed.
func times(st *syscall.Stat_t) (written, changed syscall.Timespec) { return st.Mtim, st.Ctim }

// placeOf distinguishes a folder from every other that was or will be at its path: by
// its inode and the time at which that was made, since inodes are used again. It is
// "" where the file system does not say, and for a single file, which programs
// replace as they write it.
func placeOf(path string) string {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME|unix.STATX_TYPE, &st)
	if err != nil || st.Mask&unix.STATX_BTIME == 0 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return ""
	}
	return fmt.Sprintf("%d@%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec)
}
