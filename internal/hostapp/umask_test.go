package hostapp

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/fault"
)

// TestUmaskIsOurs is fault F14: root's `umask 077` reached everything that salvord
// made for containers.
func TestUmaskIsOurs(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	if code := Main(t.Context(), []string{"version"}, nil, io.Discard, io.Discard); code != fault.OK {
		t.Errorf("ends with %d", code)
	}
	if got := unix.Umask(umask); got != umask {
		t.Errorf("the umask is %03o", got)
	}
}
