package local

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBackgroundOutlivesItsCaller: it has another session, no terminal, an environment of
// two variables, and goes on when the context ends.
func TestBackgroundOutlivesItsCaller(t *testing.T) {
	t.Setenv("SALVOR_TEST_CANARY", "hunter2")
	ctx, cancel := context.WithCancel(t.Context())
	said, err := Background(ctx, "sh", []string{"sh", "-c", `read line; echo "$$ $line $PWD $(env | grep -c .) $SALVOR_TEST_CANARY"; exec >/dev/null 2>&1; exec sleep 1000`}, strings.NewReader("given\n"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(said)
	if len(fields) != 4 || fields[1] != "given" || fields[2] != "/" {
		t.Fatalf("said %q", said)
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	cancel()
	session, err := unix.Getsid(pid)
	if err != nil || session != pid {
		t.Errorf("session %d of %d, %v", session, pid, err)
	}
	environ, err := os.ReadFile("/proc/" + fields[0] + "/environ")
	if err == nil && strings.Contains(string(environ), "hunter2") {
		t.Errorf("environment %q", environ)
	}
}

func TestBackgroundThatDoesNotStart(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{"exit 3": "sh ended at once", "echo no room >&2": ""} {
		said, err := Background(t.Context(), "sh", []string{"sh", "-c", command}, nil)
		if want == "" && (err != nil || said != "no room") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %q, %v", command, said, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Background(ctx, "sleep", []string{"sleep", "1000"}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that says nothing: %v", err)
	}
	if _, err := Background(t.Context(), "no-such-program", []string{"no-such-program"}, nil); err == nil {
		t.Error("one that is not there")
	}
}
