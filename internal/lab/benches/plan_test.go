package benches

import (
	"testing"
	"time"
)

func TestFastestOp(t *testing.T) {
	got, err := fastestOp("goos: linux\nBenchmarkPlan-2   \t       1\t1450656002 ns/op\nBenchmarkPlan-2   \t       1\t823052835 ns/op\nPASS\n")
	if err != nil || got != 823052835*time.Nanosecond {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := fastestOp("PASS\n"); err == nil {
		t.Error("no benchmark, no error")
	}
}
