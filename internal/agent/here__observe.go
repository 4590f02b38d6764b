package agent

import (
	"errors"
	"io/fs"
	"syscall"
)

// noEngine reports whether an error means that no Docker engine answers, as on
// a host that is not prepared yet.
func noEngine(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}
