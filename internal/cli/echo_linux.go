package cli

import "golang.org/x/sys/unix"

// The requests of termios, which each system numbers differently: ioctl_tty(2).
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
)
