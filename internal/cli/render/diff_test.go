package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/terminal"
)

func TestDiff(t *testing.T) {
	long := "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\n"
	tests := map[string]struct{ before, after, want string }{
		"equal":      {"a\n", "a\n", ""},
		"new":        {"", "a\nb\n", "--- /dev/null\n+++ f\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"gone":       {"a\n", "", "--- f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"},
		"changed":    {long, strings.Replace(long, "f", "F", 1), "--- f\n+++ f\n@@ -3,7 +3,7 @@\n c\n d\n e\n-f\n+F\n g\n h\n i\n"},
		"two hunks":  {long, strings.NewReplacer("a\n", "A\n", "l\n", "L\n").Replace(long), "--- f\n+++ f\n@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n d\n@@ -9,4 +9,4 @@\n i\n j\n k\n-l\n+L\n"},
		"one hunk":   {"a\nb\nc\nd\n", "b\nc\nd\ne\n", "--- f\n+++ f\n@@ -1,4 +1,4 @@\n-a\n b\n c\n d\n+e\n"},
		"no newline": {"a", "a\n", "--- f\n+++ f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			bytes := func(s string) []byte {
				if s == "" {
					return nil
				}
				return []byte(s)
			}
			Diff(terminal.NewPage(&out, false), "f", bytes(test.before), bytes(test.after))
			if diff := cmp.Diff(test.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestS30ALargeDiffIsBounded(t *testing.T) {
	var before, after strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&before, "A%d=x\n", i)
		fmt.Fprintf(&after, "B%d=x\n", i)
	}
	var out strings.Builder
	Diff(terminal.NewPage(&out, false), ".env", []byte("same\n"+before.String()+"end\n"), []byte("same\n"+after.String()+"end\n"))
	if got := strings.Count(out.String(), "\n-A") + strings.Count(out.String(), "\n+B"); got != 120_000 || !strings.Contains(out.String(), "\n same\n") {
		t.Errorf("%d lines changed", got)
	}
}
