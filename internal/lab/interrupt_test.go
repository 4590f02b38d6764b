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

// TestVictim is the process that TestEndedRunsLeaveNothing ends: it starts two
// labs, one with a host, says their ids and waits.
func TestVictim(t *testing.T) {
	if os.Getenv("LAB_VICTIM") == "" {
		t.Skip("only as a process of TestEndedRunsLeaveNothing")
	}
	other, err := lab.Start(t.Context(), lab.Options{Name: "victim"})
	must(t, err)
	l, err := lab.Start(t.Context(), lab.Options{Name: "victim"})
	must(t, err)
	_, err = l.Host(t.Context(), "alpha", lab.HostOptions{})
	must(t, err)
	fmt.Printf("victim %s %s\n", l.ID, other.ID)
	<-t.Context().Done()
}

func TestEndedRunsLeaveNothing(t *testing.T) {
	labtest.Require(t)
	left := func(ids []string) []string {
		runs, err := lab.Runs(t.Context())
		must(t, err)
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			return !slices.ContainsFunc(runs, func(r lab.Run) bool { return r.ID == id })
		})
	}
	t.Run("interrupted: it cleans up itself", func(t *testing.T) {
		cmd, ids := victim(t)
		must(t, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
			t.Errorf("the process ended with %v, want by the signal", err)
		}
		if still := left(ids); len(still) > 0 {
			t.Errorf("%s are still there", still)
		}
	})
	t.Run("killed: the next sweep does, and not before", func(t *testing.T) {
		cmd, ids := victim(t)
		_, err := lab.Sweep(t.Context(), false)
		must(t, err)
		if len(left(ids)) != len(ids) {
			t.Error("a living run was swept away")
		}
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Error("the killed process ended well")
		}
		removed, err := lab.Sweep(t.Context(), false)
		must(t, err)
		for _, id := range ids {
			if !slices.Contains(removed, id) {
				t.Errorf("swept %v, want %s", removed, id)
			}
		}
		if still := left(ids); len(still) > 0 {
			t.Errorf("%s are still there", still)
		}
	})
}

func victim(t *testing.T) (cmd *exec.Cmd, ids []string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "-test.run", "^TestVictim$", "-test.v")
	cmd.Env = append(os.Environ(), "LAB_VICTIM=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ids, ok := strings.CutPrefix(lines.Text(), "victim "); ok {
			return cmd, strings.Fields(ids)
		}
	}
	t.Fatal("the victim did not start")
	return nil, nil
}
