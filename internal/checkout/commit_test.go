package checkout

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/git"
)

func one(content string) map[string][]byte { return map[string][]byte{"one": []byte(content)} }

// TestTheOrderOfACommit: it is completed, noted, signed, made and published. The files
// that were opened stay, the commit moves on.
func TestTheOrderOfACommit(t *testing.T) {
	t.Parallel()
	dir, remote := withRemote(t)
	c := open(t, dir, Committed)
	var log []string
	c.Rules = rules(&log)
	before, export := c.Commit, c.Export
	if err := c.CommitFiles(t.Context(), one("1"), "one: written"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"complete", "make", "sign", "published"}, log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	head := run(t, dir, "rev-parse", "HEAD")
	if string(c.Commit) != head || c.Commit == before || c.Export != export || !c.Pushed() || run(t, remote, "rev-parse", "main") != head {
		t.Errorf("at %s, the branch at %s, published: %v", c.Commit, head, c.Pushed())
	}
	if got := run(t, dir, "show", "--name-only", "--format=%s", "HEAD"); got != "one: written\n\ncompleted\none\nsigned.sig" {
		t.Errorf("committed %q", got)
	}
	if err := c.CommitFiles(t.Context(), nil, "nothing"); err != nil || run(t, dir, "rev-parse", "HEAD") != head {
		t.Errorf("without files: %v", err)
	}
}

// TestARuleRefuses a commit: none is made.
func TestARuleRefuses(t *testing.T) {
	t.Parallel()
	no := errors.New("no")
	for name, refuse := range map[string]func(*Rules){
		"complete": func(r *Rules) {
			r.Complete = func(context.Context, map[string][]byte) (map[string][]byte, error) { return nil, no }
		},
		"make": func(r *Rules) { r.Making = func(context.Context, map[string][]byte) error { return no } },
		"sign": func(r *Rules) {
			r.Sign = func(context.Context, map[string][]byte, bool) (map[string][]byte, error) { return nil, no }
		},
	} {
		dir, _ := withRemote(t)
		c := open(t, dir, Committed)
		var log []string
		c.Rules = rules(&log)
		refuse(&c.Rules)
		before := c.Commit
		if err := c.CommitFiles(t.Context(), one("1"), "one"); !errors.Is(err, no) || run(t, dir, "rev-parse", "HEAD") != string(before) || c.Commit != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAWorkflowsCommits are several, each on the one before, with the files that say the
// new names of hosts.
func TestAWorkflowsCommits(t *testing.T) {
	t.Parallel()
	dir, _ := withRemote(t)
	c := open(t, dir, Committed)
	var log []string
	c.Rules = rules(&log)
	c.Renaming = map[string][]byte{"hosts/gamma.pub": []byte("key")}
	w := c.Committer(true)
	if published, err := w.Published(t.Context()); err != nil || !published {
		t.Errorf("at first: %v, %v", published, err)
	}
	for _, content := range []string{"1", "2"} {
		id, err := w.Commit(t.Context(), one(content), "one: "+content)
		if err != nil || id != string(c.Commit) {
			t.Fatalf("%s, at %s: %v", id, c.Commit, err)
		}
	}
	if published, err := w.Published(t.Context()); err != nil || published || c.Pushed() {
		t.Errorf("before the push: %v, %v", published, err)
	}
	if err := w.Push(t.Context()); err != nil || !c.Pushed() {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"make", "sign all", "make", "sign all", "published"}, log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if got := run(t, dir, "show", "--name-only", "--format=", "HEAD~1"); got != "hosts/gamma.pub\none\nsigned.sig" {
		t.Errorf("the first has %q", got)
	}
	if undone, err := w.Uncommit(t.Context()); undone || err != nil {
		t.Errorf("what is published was undone: %v", err)
	}
}

// TestAPushThatLosesTheRace takes the commit back: the clone is as it was, and the
// operator pulls.
func TestAPushThatLosesTheRace(t *testing.T) {
	t.Parallel()
	dir, remote := withRemote(t)
	c := open(t, dir, Committed)
	var log []string
	c.Rules = rules(&log)
	before := c.Commit
	other := filepath.Join(t.TempDir(), "other")
	run(t, dir, "clone", "-q", remote, other)
	write(t, other, "theirs", "x")
	commit(t, other, "theirs")
	run(t, other, "push", "-q")
	if err := c.Behind(t.Context()); !errors.Is(err, git.ErrDiverged) || !strings.Contains(fault.Hint(err), "git pull") {
		t.Errorf("behind: %v, hint %q", err, fault.Hint(err))
	}
	err := c.CommitFiles(t.Context(), one("1"), "one")
	if !errors.Is(err, git.ErrDiverged) || c.Commit != before || c.Pushed() || run(t, dir, "rev-parse", "HEAD") != string(before) {
		t.Errorf("%v, at %s, the branch at %s", err, c.Commit, run(t, dir, "rev-parse", "HEAD"))
	}
	if log[len(log)-1] != "taken back" || slices.Contains(log, "published") {
		t.Errorf("asked %v", log)
	}
	if _, err := os.Stat(filepath.Join(dir, "one")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its file is left: %v", err)
	}
}

// TestTheGitHostIsAway: the commit stays here and the error says so, unless others have
// to see it.
func TestTheGitHostIsAway(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		dir, remote := withRemote(t)
		c := open(t, dir, Committed)
		var log []string
		c.Rules = rules(&log)
		before := c.Commit
		if err := os.Rename(remote, remote+".away"); err != nil {
			t.Fatal(err)
		}
		work := c.CommitFiles
		if whole {
			work = c.CommitOrNothing
		}
		err := work(t.Context(), one("1"), "one")
		stays := c.Commit != before
		if !errors.Is(err, git.ErrGitAway) || stays == whole || c.Pushed() || run(t, dir, "rev-parse", "HEAD") != string(c.Commit) {
			t.Errorf("or nothing: %v; %v, at %s", whole, err, c.Commit)
		}
		if stays && (!strings.Contains(err.Error(), "committed here as "+c.Commit.Short()) || !strings.Contains(fault.Hint(err), "git push")) {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
		if err := c.Behind(t.Context()); !errors.Is(err, git.ErrGitAway) {
			t.Errorf("behind: %v", err)
		}
	}
}

// TestUncommit takes what was not pushed off the branch again.
func TestUncommit(t *testing.T) {
	t.Parallel()
	dir, _ := withRemote(t)
	c := open(t, dir, Committed)
	before := c.Commit
	w := c.Committer(false)
	if _, err := w.Commit(t.Context(), one("1"), "one"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if undone, err := w.Uncommit(t.Context()); undone != want || err != nil || c.Commit != before || run(t, dir, "rev-parse", "HEAD") != string(before) {
			t.Errorf("undone: %v, %v, at %s", undone, err, c.Commit)
		}
	}
}

// TestTheBranchMovedOn while the command ran: nothing is committed on top of what was
// not opened.
func TestTheBranchMovedOn(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	c := open(t, dir, Committed)
	write(t, dir, "theirs", "x")
	commit(t, dir, "theirs")
	head := run(t, dir, "rev-parse", "HEAD")
	err := c.CommitFiles(t.Context(), one("1"), "one")
	if !errors.Is(err, git.ErrDiverged) || !strings.Contains(fault.Hint(err), "run it again") || run(t, dir, "rev-parse", "HEAD") != head {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

// TestWithoutARemote a push does nothing, and nothing can be behind.
func TestWithoutARemote(t *testing.T) {
	t.Parallel()
	dir := newRepo(t)
	c := open(t, dir, Committed)
	var log []string
	c.Rules = rules(&log)
	if err := errors.Join(c.Behind(t.Context()), c.CommitOrNothing(t.Context(), one("1"), "one"), c.Behind(t.Context())); err != nil {
		t.Error(err)
	}
	if string(c.Commit) != run(t, dir, "rev-parse", "HEAD") || log[len(log)-1] != "published" {
		t.Errorf("at %s, asked %v", c.Commit, log)
	}
}
