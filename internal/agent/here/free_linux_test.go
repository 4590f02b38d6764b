package here

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestFreeGivesBackTheProgram: its pages leave this process's memory, and it runs on.
func TestFreeGivesBackTheProgram(t *testing.T) {
	mapped := func() int {
		t.Helper()
		content, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(content), "RssFile:")
		kb, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		return kb
	}
	before := mapped()
	if err := dropProgram(); err != nil {
		t.Fatal(err)
	}
	if after := mapped(); after > before/2 {
		t.Errorf("%d of %d kB stay", after, before)
	}
}
