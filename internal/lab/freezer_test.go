package lab_test

import (
	"os"
	"testing"

	"salvor/internal/lab"
	"salvor/internal/lab/labtest"
)

// TestKillWithSomethingPausedInside cuts the power while the engine on the host
// has a container paused, as during a snapshot.
func TestKillWithSomethingPausedInside(t *testing.T) {
	if _, err := os.Stat("/sys/fs/cgroup/freezer"); err != nil {
		t.Skip("cgroup v2 kills frozen processes by itself")
	}
	ctx := t.Context()
	l := labtest.Start(t, lab.Options{Name: "pausedtest"})
	h, err := l.Host(ctx, "alpha", lab.HostOptions{})
	must(t, err)
	pause := `g=/sys/fs/cgroup/freezer/inside; mkdir $g; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >$g/cgroup.procs && echo FROZEN >$g/freezer.state`
	for range 2 {
		_, err = h.Exec(ctx, "sh", "-c", pause)
		must(t, err)
		must(t, h.Kill(ctx))
		must(t, h.Start(ctx))
	}
	_, err = h.Exec(ctx, "sh", "-c", pause)
	must(t, err)
	must(t, l.Down(ctx)) // with others next to it that end at once
}
