package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// TestGitThatCannotBeReadIsAFinding: where the docs were followed, no host ever read
// the repository, and nothing said so (D5).
func TestGitThatCannotBeReadIsAFinding(t *testing.T) {
	h := newHost(t)
	g := newGuard(h.base(), askWithin)
	spec := agentapi.Host{Name: "alpha", Git: agentapi.Git{URL: filepath.Join(t.TempDir(), "fleet.git")}}
	found := func(at time.Time) string { return codes(GitFindings(h.base(), spec, at)) }
	if got := found(time.Now()); got != "" {
		t.Errorf("before the first try: %s", got)
	}
	if g.askGit(t.Context(), spec.Git).reached {
		t.Fatal("a repository that is not there was reached")
	}
	if got := found(time.Now()); got != string(finding.GitUnread) {
		t.Errorf("never read: %q", got)
	}
	now := time.Now()
	g.noteGit(nil, now)
	if got := found(now); got != "" {
		t.Errorf("once it was read: %q", got)
	}
	g.noteGit(os.ErrDeadlineExceeded, now)
	g.noteGit(os.ErrPermission, now.Add(time.Minute))
	if got := found(now.Add(gitSilence - time.Second)); got != "" {
		t.Errorf("a short outage: %q", got)
	}
	late := GitFindings(h.base(), spec, now.Add(gitSilence))
	if codes(late) != string(finding.GitUnread) || !strings.Contains(late[0].Text, os.ErrPermission.Error()) {
		t.Errorf("a long one: %+v", late)
	}
}
