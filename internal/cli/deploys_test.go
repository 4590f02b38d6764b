package cli

import (
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/rollback"
)

// TestWhatDidNotStartIsNotNow: the list called a commit that failed "(now)".
func TestWhatDidNotStartIsNotNow(t *testing.T) {
	image := func(digest string) map[string]string {
		return map[string]string{"app": "reg/app:1@sha256:" + strings.Repeat(digest, 64)}
	}
	now := rollback.Deploy{Commit: "cccc", Images: image("b")} // the lock has those of the deploy before
	earlier := []rollback.Deploy{{Commit: "bbbb", Images: image("b")}, {Commit: "aaaa", Images: image("a")}}
	runs := []agentapi.ServiceRow{{Name: "app", Image: image("b")["app"]}}
	for name, c := range map[string]struct {
		running *agentapi.StackServices
		want    string
	}{
		"it runs":                  {&agentapi.StackServices{Services: runs}, "cccc"},
		"its host does not answer": {nil, "cccc"},
		"it did not start":         {&agentapi.StackServices{Services: runs, Failed: &agentapi.FailedDeploy{Why: "web: exited"}}, "bbbb"},
		"nothing runs":             {&agentapi.StackServices{Failed: &agentapi.FailedDeploy{Why: "web: exited"}}, ""},
	} {
		got := ""
		for _, row := range deployRows(now, earlier, c.running) {
			if row.Now {
				got += row.Commit
			}
		}
		if got != c.want {
			t.Errorf("%s: %q is now, want %q", name, got, c.want)
		}
	}
}
