package ownership

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
)

// TestGitThatCannotBeReadIsAFinding: where the docs were followed, no host ever read
// the repository, and nothing said so (D5).
func TestGitThatCannotBeReadIsAFinding(t *testing.T) {
	h := &here.Host{Paths: hostpath.Layout{Config: t.TempDir(), State: t.TempDir(), Run: t.TempDir()}}
	g := New(h, AskWithin)
	spec := agentapi.Host{Name: "alpha", Git: agentapi.Git{URL: filepath.Join(t.TempDir(), "fleet.git")}}
	found := func(at time.Time) string { return codes(GitFindings(h, spec, at)) }
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
	late := GitFindings(h, spec, now.Add(gitSilence))
	if codes(late) != string(finding.GitUnread) || !strings.Contains(late[0].Text, os.ErrPermission.Error()) {
		t.Errorf("a long one: %+v", late)
	}
}

func codes(found []finding.Finding) string {
	var all []string
	for _, f := range found {
		all = append(all, string(f.Code))
	}
	return strings.Join(all, " ")
}
