package local

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestS26NoProcessOfTheSameUserReadsOurMemory: a process of the same user, other
// than root, can't open the memory or the environment of one that holds keys; of one
// that does not it can read the environment, so that the test would see it.
func TestS26NoProcessOfTheSameUserReadsOurMemory(t *testing.T) {
	if at := os.Getenv("SALVOR_TEST_HOLD_KEYS"); at != "" {
		holdKeys(t, at)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("another user needs root")
	}
	for closed, want := range map[string]bool{"no": true, "yes": false} {
		if got := readable(t, closed); got != want {
			t.Errorf("closed %s: another process of the user reads it: %t", closed, got)
		}
	}
}

// holdKeys is a process that holds keys until its standard input ends.
func holdKeys(t *testing.T, closed string) {
	t.Helper()
	if closed == "yes" {
		if err := NoCoreDumps(); err != nil {
			t.Fatal(err)
		}
	}
	r, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.OpenFile("/dev/fd/"+strconv.Itoa(int(r.Fd())), os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil { // as --passphrase-file does
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("ready\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

func readable(t *testing.T, closed string) bool {
	t.Helper()
	self, err := os.Open("/proc/self/exe") // the other user may not reach the path
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	holder := exec.CommandContext(t.Context(), "/proc/self/fd/3", "-test.run=^TestS26NoProcessOfTheSameUserReadsOurMemory$")
	holder.ExtraFiles, holder.SysProcAttr, holder.Dir = []*os.File{self}, nobody, "/"
	holder.Env = []string{"SALVOR_TEST_HOLD_KEYS=" + closed}
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(stdout, ready); err != nil || string(ready) != "ready\n" {
		t.Fatalf("%q, %v", ready, err)
	}
	reader := exec.CommandContext(t.Context(), "/bin/cat", "/proc/"+strconv.Itoa(holder.Process.Pid)+"/environ")
	reader.SysProcAttr, reader.Dir = nobody, "/"
	reads := reader.Run() == nil
	_ = stdin.Close()
	_ = holder.Wait()
	return reads
}

// TestS26WeAreNotDumpable asks the kernel.
func TestS26WeAreNotDumpable(t *testing.T) {
	if err := NoCoreDumps(); err != nil {
		t.Fatal(err)
	}
	if is, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || is != 0 {
		t.Errorf("dumpable is %d, %v", is, err)
	}
}
