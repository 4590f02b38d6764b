package scenarios

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What an idle daemon may take of a host with six stacks.
const (
	idleMiB = 40
	idleCPU = 0.5 // percent of one processor
)

// daemonUse prints the resident memory (KiB) and the processor time (hundredths of a
// second) of the daemon, and then the memory of each mounter.
const daemonUse = `for p in /proc/[0-9]*; do case "$(tr '\0' ' ' <$p/cmdline)" in
*"salvord agent ") awk '/^VmRSS/ {m = $2} END {printf "daemon %d ", m}' $p/status; awk '{print $14 + $15}' $p/stat;;
*"salvord mount "*) awk '/^VmRSS/ {print "mounter", $2, 0}' $p/status;;
esac; done 2>/dev/null`

// idle measures the daemon with six stacks and nothing to do.
func (d *dataFleet) idle(t *testing.T) {
	t.Helper()
	measured := time.Duration(repeats(d.Scenario, 60, 20)) * time.Second
	began := time.Now()
	_, before, _ := d.uses(t)
	<-time.After(measured)
	mib, after, mounters := d.uses(t)
	cpu := float64(after-before) / time.Since(began).Seconds() // hundredths of a second per second are percent
	t.Logf("idle with six stacks: memory.idle %.1f MiB, CPU %.2f %%; mounters %.1f MiB", mib, cpu, mounters)
	if mib > idleMiB {
		t.Errorf("memory.idle is %.1f MiB, more than %d", mib, idleMiB)
	}
	if cpu > idleCPU {
		t.Errorf("the idle daemon takes %.2f %% of a processor, more than %.1f %%", cpu, idleCPU)
	}
}

// uses returns the daemon's memory (MiB) and processor time, and the mounters' memory.
func (d *dataFleet) uses(t *testing.T) (mib float64, ticks int, mounters float64) {
	t.Helper()
	out := exec(t, d.on, daemonUse)
	daemons := 0
	for line := range strings.Lines(out) {
		var name string
		var kib, used int
		if _, err := fmt.Sscan(line, &name, &kib, &used); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if name == "mounter" {
			mounters += float64(kib) / 1024
			continue
		}
		daemons++
		mib, ticks = float64(kib)/1024, used
	}
	if daemons != 1 {
		t.Fatalf("%d daemons run:\n%s", daemons, out)
	}
	return mib, ticks, mounters
}
