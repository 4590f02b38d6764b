package lab_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

// TestVictim is the process that TestEndedRunsLeaveNothing ends: it starts a
// lab, says its id and waits.
func TestVictim(t *testing.T) {
	if os.Getenv("LAB_VICTIM") == "" {
		t.Skip("only as a process of TestEndedRunsLeaveNothing")
	}
	l, err := lab.Start(t.Context(), lab.Options{Name: "victim"})
	must(t, err)
	_, err = l.Host(t.Context(), "alpha", lab.HostOptions{})
	must(t, err)
	fmt.Printf("victim %s\n", l.ID)
	<-t.Context().Done()
}

func TestEndedRunsLeaveNothing(t *testing.T) {
	labtest.Require(t)
	exists := func(id string) bool {
		runs, err := lab.Runs(t.Context())
		must(t, err)
		return slices.ContainsFunc(runs, func(r lab.Run) bool { return r.ID == id })
	}
	t.Run("interrupted: it cleans up itself", func(t *testing.T) {
		cmd, id := victim(t)
		must(t, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
			t.Errorf("the process ended with %v, want by the signal", err)
		}
		if exists(id) {
			t.Errorf("%s is still there", id)
		}
	})
	t.Run("killed: the next sweep does, and not before", func(t *testing.T) {
		cmd, id := victim(t)
		_, err := lab.Sweep(t.Context())
		must(t, err)
		if !exists(id) {
			t.Error("a living run was swept away")
		}
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Error("the killed process ended well")
		}
		removed, err := lab.Sweep(t.Context())
		must(t, err)
		if exists(id) { // another run may have been the first to sweep it away
			t.Errorf("swept %v, want %s", removed, id)
		}
	})
}

func victim(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestVictim$", "-test.v")
	cmd.Env = append(os.Environ(), "LAB_VICTIM=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "victim "); ok {
			return cmd, id
		}
	}
	t.Fatal("the victim did not start")
	return nil, ""
}
