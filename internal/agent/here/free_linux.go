package here

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropProgram gives back the pages of this program that are read from its file, and will be
// read again where they are needed: what ran at the start is most of them. A mapping with
// pages of its own, which no file has, is left alone.
func dropProgram() error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	content, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return err
	}
	var at mapping
	for line := range bytes.Lines(content) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 {
			continue
		}
		switch begin, end, is := bounds(fields[0]); {
		case is:
			at = mapping{begin: begin, end: end, program: len(fields) == 6 && fields[5] == self && !strings.Contains(fields[1], "w")}
		case fields[0] == "Anonymous:" && at.program && fields[1] == "0":
			if _, _, failed := unix.Syscall(unix.SYS_MADVISE, at.begin, at.end-at.begin, unix.MADV_DONTNEED); failed != 0 {
				return fmt.Errorf("give back the program's pages: %w", failed)
			}
		}
	}
	return nil
}

// A mapping is a part of this process's memory.
type mapping struct {
	begin, end uintptr
	program    bool // of this program's file, and never written to
}

// bounds reads the first field of a mapping's first line.
func bounds(field string) (begin, end uintptr, is bool) {
	n, err := fmt.Sscanf(field, "%x-%x", &begin, &end)
	return begin, end, n == 2 && err == nil
}
