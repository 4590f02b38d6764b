package keyagent

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOtherUsersGetNoAnswer: an agent asks the kernel who is at the other end, also where
// the folder lets others in. Root can become another user to try.
func TestOtherUsersGetNoAnswer(t *testing.T) {
	t.Parallel()
	r := run(t, folder(t), []byte("encrypted"), time.Hour, newKey(t))
	socket := r.folder.socket(nameOf(r.file))
	if said := asked(t, socket, os.Geteuid()); !bytes.Contains(said, []byte("until")) {
		t.Errorf("its own user gets %q", said)
	}
	if os.Geteuid() == 0 {
		for path, mode := range map[string]os.FileMode{filepath.Dir(string(r.folder)): 0o711, string(r.folder): 0o711, socket: 0o777} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		if said := asked(t, socket, 65534); len(said) > 0 {
			t.Errorf("another user gets %q", said)
		}
	}
	r.user = os.Geteuid() + 1 // as if the one who asks were another
	if said := asked(t, socket, os.Geteuid()); len(said) > 0 {
		t.Errorf("another user gets %q", said)
	}
}

// asked asks an agent, as another user if need be, and returns what it says.
func asked(t *testing.T, socket string, user int) []byte {
	t.Helper()
	type result struct {
		said []byte
		err  error
	}
	got := make(chan result)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread ends with what it has become
		said, err := askAs(socket, user)
		got <- result{said, err}
	}()
	r := <-got
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.said
}

func askAs(socket string, user int) ([]byte, error) {
	if user != os.Geteuid() {
		// of this thread alone, unlike unix.Setresuid
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(user), uintptr(user), uintptr(user)); errno != 0 {
			return nil, errno
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), socket)
	defer conn.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return nil, err
	}
	if _, err := conn.WriteString(`{"verb":"held"}` + "\n"); err != nil {
		return nil, nil // it has hung up
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return nil, nil // it hung up on what was written
	}
	return said, nil
}
