package cli

import "golang.org/x/sys/unix"

// The requests of termios, which each system numbers differently: tcgetattr(3).
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
)
