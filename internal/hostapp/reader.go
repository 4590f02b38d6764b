package hostapp

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// errReaderGone is why a verb was interrupted: the salvor that asked is gone. What is
// half done is finished by the next run, which must not find the host locked.
var errReaderGone = errors.New("salvor is gone")

// watchReader calls gone when what is written to pipe is no longer read. Writing to
// it is an error from then on, and no longer the end of the process, so that the verb
// ends in order.
func watchReader(pipe *os.File, gone func()) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// POLLERR and POLLHUP are reported whatever is asked for (poll(2))
	watched := []unix.PollFd{{Fd: int32(pipe.Fd())}}
	for {
		_, err := unix.Poll(watched, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && watched[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			gone()
		}
		return
	}
}
