package local

import (
	"strings"
	"testing"

	"salvor/internal/machine"
)

func TestWhatIsStartedLeavesNoCore(t *testing.T) {
	if err := NoCoreDumps(); err != nil {
		t.Fatal(err)
	}
	out, err := Machine{}.Run(t.Context(), machine.Command("grep", "^Max core file size", "/proc/self/limits"))
	if fields := strings.Fields(string(out.Stdout)); err != nil || len(fields) != 7 || fields[4] != "1" || fields[5] != "1" {
		t.Errorf("%q, %v", out.Stdout, err)
	}
}
