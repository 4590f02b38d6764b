package keyagent

import (
	"errors"
	"fmt"
	"net"
)

var errStranger = errors.New("the other end of the socket is another user's")

// mustBe returns why the process at the other end is not this user's.
func mustBe(user int, conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var uid int
	failed := raw.Control(func(fd uintptr) { uid, err = peerUID(int(fd)) })
	switch {
	case errors.Join(failed, err) != nil:
		return fmt.Errorf("whose the socket's other end is: %w", errors.Join(failed, err))
	case uid != user:
		return errStranger
	}
	return nil
}
