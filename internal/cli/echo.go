package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// withoutEcho has a terminal not show what is typed, from now on. It gives lines, and
// Ctrl-C ends the program, whatever it was set to. restore makes it as it was before.
func withoutEcho(tty *os.File) (restore func(), err error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag = hidden.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	hidden.Iflag |= unix.ICRNL
	restore = func() { _ = unix.IoctlSetTermios(fd, setTermios, before) } // the terminal is gone where that fails
	return restore, unix.IoctlSetTermios(fd, setTermios, &hidden)
}
