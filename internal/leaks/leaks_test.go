package leaks

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/scan"
	"salvor/internal/secret/agekey"
)

// A clone is a control repository on this disk.
type clone struct {
	t      *testing.T
	dir    string
	secret string // an age identity, which is a secret wherever it is
}

func newClone(t *testing.T) *clone {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	files, message, err := controlrepo.Beginning{Name: "home", Recipients: fleet.Recipients{Recovery: key.Recipient}}.Commit()
	if err != nil {
		t.Fatal(err)
	}
	c := &clone{t: t, dir: t.TempDir(), secret: string(key.Secret.Reveal())}
	environ := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GIT_AUTHOR_NAME=ann", "GIT_AUTHOR_EMAIL=ann@example.net", "GIT_COMMITTER_NAME=ann", "GIT_COMMITTER_EMAIL=ann@example.net"}
	if _, _, err := git.Init(t.Context(), local.Machine{}, c.dir, git.First{Files: files, Message: message}, environ); err != nil {
		t.Fatal(err)
	}
	return c
}

// write writes a file of the working tree.
func (c *clone) write(name, content string) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// git runs git in the clone; no hook keeps it from anything.
func (c *clone) git(args ...string) {
	c.t.Helper()
	argv := append([]string{"git", "-c", "core.hooksPath=/dev/null", "-c", "user.name=ann", "-c", "user.email=ann@example.net"}, args...)
	if _, err := (local.Machine{}).Run(c.t.Context(), machine.Cmd{Argv: argv, Dir: c.dir}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clone) commit(message string) {
	c.t.Helper()
	c.git("add", "--all")
	c.git("commit", "--quiet", "--message", message)
}

func (c *clone) open(files checkout.Files) *checkout.Checkout {
	c.t.Helper()
	opened, err := checkout.Open(c.t.Context(), c.dir, files)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// places are where leaks are; none of them shows the secret.
func (c *clone) places(found []scan.Leak, err error) []string {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	var places []string
	for _, l := range found {
		if strings.Contains(l.Text, c.secret) {
			c.t.Error("a leak shows the secret")
		}
		places = append(places, fmt.Sprintf("%s:%d", l.Path, l.Line))
	}
	return places
}

func (c *clone) check(what string, got []string, want ...string) {
	c.t.Helper()
	if !slices.Equal(got, want) {
		c.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestWhereSecretsAreFound: the working tree without what Git ignores, the next commit as
// it is prepared, and everything that was ever committed.
func TestWhereSecretsAreFound(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	files := c.open(checkout.WorkTree)
	ctx := t.Context()
	c.check("nothing yet", slices.Concat(c.places(Work(ctx, files)), c.places(Staged(ctx, files)), c.places(History(ctx, files))))

	c.write("notes.txt", "# mine\n"+c.secret+"\n")
	c.write(".gitignore", "ignored.txt\n")
	c.write("ignored.txt", c.secret+"\n")
	if err := os.Symlink("notes.txt", filepath.Join(c.dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	c.check("in the working tree", c.places(Work(ctx, files)), "notes.txt:2")
	c.check("not staged", c.places(Staged(ctx, files)))

	c.git("add", "notes.txt")
	c.write("notes.txt", "nothing any more\n")
	c.check("in the next commit, as it was added", c.places(Staged(ctx, files)), "notes.txt:2")
	c.check("no longer in the working tree", c.places(Work(ctx, files)))
	if err := os.Remove(filepath.Join(c.dir, "notes.txt")); err != nil {
		t.Fatal(err)
	}
	c.check("removed from the working tree", c.places(Work(ctx, files)))
	c.check("not committed", c.places(History(ctx, files)))

	c.git("commit", "--quiet", "--message", "a secret")
	c.write("notes.txt", "nothing any more\n")
	c.commit("without it")
	c.check("the next commit adds nothing", c.places(Staged(ctx, files)))
	c.check("in the history", c.places(History(ctx, files)), "notes.txt:2")
}

// TestTheWholeHistoryIsSearched: other branches too, however much it is, and what stayed
// where it was is said once.
func TestTheWholeHistoryIsSearched(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	for i := range pastBatch + 50 {
		c.write(fmt.Sprintf("stacks/many/%03d.txt", i), fmt.Sprintf("the file %d\n", i))
	}
	c.write("stacks/many/last.txt", c.secret+"\n")
	c.commit("many files")
	c.write("stacks/many/last.txt", c.secret+"\nand more\n")
	c.commit("it stays")
	c.git("checkout", "--quiet", "-b", "other")
	c.write("other.txt", "\n\n"+c.secret+"\n")
	c.commit("on another branch")
	c.git("checkout", "--quiet", "-")
	got := c.places(History(t.Context(), c.open(checkout.Committed)))
	slices.Sort(got)
	c.check("history", got, "other.txt:3", "stacks/many/last.txt:1")
}

// TestFindings stop a plan, whichever files it is made from.
func TestFindings(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	findings := func(files checkout.Files) []string {
		t.Helper()
		found, err := Findings(t.Context(), c.open(files))
		if err != nil {
			t.Fatal(err)
		}
		var places []string
		for _, f := range found {
			if f.Code != finding.SecretInClear || f.Severity != finding.Fatal || f.Fix == "" || strings.Contains(f.Text+f.Fix, c.secret) {
				t.Errorf("%+v", f)
			}
			places = append(places, f.Subject)
		}
		return places
	}
	c.write("a.txt", c.secret+"\n")
	c.check("not committed, a commit", findings(checkout.Committed))
	c.check("not committed, the working tree", findings(checkout.WorkTree), "a.txt:1:1")
	c.check("not staged", findings(checkout.Staged))
	c.git("add", "a.txt")
	c.write("a.txt", "")
	c.check("staged", findings(checkout.Staged), "a.txt:1:1")
	c.check("no longer in the working tree", findings(checkout.WorkTree))
	c.git("commit", "--quiet", "--message", "a secret")
	c.check("committed", findings(checkout.Committed), "a.txt:1:1")
	c.check("committed, again", findings(checkout.Committed), "a.txt:1:1")
}

// TestACleanCommitIsSearchedOnce: by its files, so another commit with the same is clean,
// and one with others is searched.
func TestACleanCommitIsSearchedOnce(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	search := func(plant bool) int {
		t.Helper()
		opened := c.open(checkout.Committed)
		if plant { // what was exported is not what was committed: only a search sees it
			if err := os.WriteFile(filepath.Join(opened.Export, "planted.txt"), []byte(c.secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := Findings(t.Context(), opened)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if search(true) != 1 || search(false) != 0 || search(true) != 0 {
		t.Error("a commit was called clean that was not, or a clean one was searched again")
	}
	c.git("commit", "--quiet", "--allow-empty", "--message", "the same files")
	if search(true) != 0 {
		t.Error("the same files were searched again")
	}
	c.write("b.txt", "another\n")
	c.commit("other files")
	if search(true) != 1 {
		t.Error("other files were not searched")
	}
}
