package ownership

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/github/githubtest"
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
	if g.askGit(t.Context(), spec).reached {
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

// TestAHostReadsOverHTTPSWithTheTokenInItsSeal, which is nowhere else.
func TestAHostReadsOverHTTPSWithTheTokenInItsSeal(t *testing.T) {
	hub, err := githubtest.Start(t.Context(), t.TempDir())
	if err == nil {
		err = hub.Make(t.Context(), "you/fleet", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	hub.AddToken("github_pat_hunter2", githubtest.Token{Account: "you", Permissions: map[string]string{"contents": "read"}})
	work := t.TempDir()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "one"}, {"push", "-q", hub.Folder("you/fleet"), "main"}} {
		if out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", work}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	guarded := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	spec := guarded.Spec
	spec.Git = agentapi.Git{URL: strings.TrimSuffix(hub.Site().API, "/api/v3") + "/you/fleet.git", Branch: "main"}
	g := New(guarded.Host, AskWithin)
	if g.askGit(t.Context(), spec).reached {
		t.Error("it reads without a token")
	}
	for token, reads := range map[string]bool{"github_pat_other": false, "github_pat_hunter2": true} {
		own := agentapi.Stack{Name: "host.alpha", Epoch: 1}
		heretest.Seal(t, guarded.Host, &own, "alpha", agentapi.SealedFile{ReadToken: []byte(token)})
		spec.Own = &own
		if got := g.askGit(t.Context(), spec).reached; got != reads {
			t.Errorf("%s: reads %t: %s", token, got, readGitNote(guarded.Host).Why)
		}
	}
	left := exec.CommandContext(t.Context(), "grep", "-rl", "hunter2", guarded.Paths.State, guarded.Paths.Config, guarded.Paths.Run)
	if out, err := left.Output(); err == nil {
		t.Errorf("the token is in %s", out)
	}
}
