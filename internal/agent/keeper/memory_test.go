package keeper_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// privateKB is what this process has of the machine's memory for itself.
func privateKB() (sum int, err error) {
	said, err := os.ReadFile("/proc/self/smaps_rollup")
	for line := range strings.Lines(string(said)) {
		if amount, private := strings.CutPrefix(line, "Private_"); private && err == nil {
			var kind string
			var kb int
			_, err = fmt.Sscan(amount, &kind, &kb)
			sum += kb
		}
	}
	return sum, err
}

func mustPrivate(t *testing.T) int {
	t.Helper()
	kb, err := privateKB()
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

// most returns the most of it while work runs.
func most(t *testing.T, work func()) (kb int) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; {
			select {
			case <-tick.C:
				now, err := privateKB()
				if err != nil {
					t.Error(err)
				}
				kb = max(kb, now)
			case <-ctx.Done():
			}
		}
	}()
	work()
	cancel()
	<-done
	return kb
}

// TestWhatASnapshotTakesIsGivenBack: a snapshot of 10,000 files is taken by the process that stays
// (docs/adr/0044-snapshots-in-the-daemon.md), which has little more for itself afterwards than before.
func TestWhatASnapshotTakesIsGivenBack(t *testing.T) { // not in parallel: it measures the process
	p := twoTargets(t)
	p.mustTake()
	for i := range 10_000 {
		p.writeTo(fmt.Sprintf("%02d/%04d", i%40, i), strings.Repeat(fmt.Sprintf("%d of many\n", i), 400))
	}
	p.Host.Free()
	before := mustPrivate(t)
	during := most(t, func() { p.mustTake() })
	after := mustPrivate(t)
	p.Host.Free()
	freed := mustPrivate(t)
	t.Logf("private memory before %d MiB, during at most %d, after %d, and %d once it is given back", before>>10, during>>10, after>>10, freed>>10)
	if freed > before+(12<<10) {
		t.Errorf("%d MiB more than before", (freed-before)>>10)
	}
}
