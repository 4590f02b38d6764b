package git

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/lockfile"
)

// killedAt commits files and ends, as a killed process does without tidying up,
// before the nth git command that has word in it.
func killedAt(t *testing.T, g *Repository, word string, nth int, files map[string][]byte) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Fatalf("it was not cut short at %s", word)
		}
	}()
	killed := *g
	killed.m = here{before: func(argv []string) {
		if strings.Contains(strings.Join(argv, " "), word) {
			if nth--; nth == 0 {
				panic("killed")
			}
		}
	}}
	_, err := killed.CommitFiles(t.Context(), files, "cut short")
	t.Error(err)
}

// TestCommitFilesAfterAKill cuts a commit short at each of its git commands: the
// next commit of other contents, as seals always are, succeeds, and nothing of
// the first is left.
func TestCommitFilesAfterAKill(t *testing.T) {
	first := map[string][]byte{lockfile.Name: []byte("first"), "sealed/alpha/a.age": []byte("first"), "stacks/hello/compose.yaml": nil}
	for _, at := range []struct {
		word string
		nth  int
	}{{"hash-object", 1}, {"commit-tree", 1}, {"checkout-index", 1}, {"update-index", 2}, {"update-ref", 1}} {
		t.Run(at.word, func(t *testing.T) {
			g, dir := newRepo(t)
			killedAt(t, g, at.word, at.nth, first)
			id, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("second"), "sealed/alpha/a.age": []byte("second")}, "second")
			if err != nil {
				t.Fatal(err)
			}
			if got := git(t, dir, "diff-tree", "-r", "--name-status", "--no-commit-id", string(id)); got != "M\tsalvor.lock\nA\tsealed/alpha/a.age\n" {
				t.Errorf("commit changes\n%s", got)
			}
			if diff := cmp.Diff(map[string]string{}, status(t, g)); diff != "" {
				t.Errorf("the working tree is not clean:\n%s", diff)
			}
		})
	}
}

func TestTakeBackLeavesOthersWorkAlone(t *testing.T) {
	g, dir := newRepo(t)
	killedAt(t, g, "update-ref", 1, map[string][]byte{lockfile.Name: []byte("left"), "new.txt": []byte("left")})
	if got := read(t, dir, lockfile.Name); got != "left" {
		t.Fatalf("the cut commit left %q", got)
	}
	write(t, dir, "new.txt", "edited by hand")
	if err := g.TakeBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, "new.txt"); got != "edited by hand" {
		t.Errorf("somebody's work became %q", got)
	}
	if got := read(t, dir, lockfile.Name); got == "left" {
		t.Error("the lock of a commit that never was is still there")
	}
}

func TestUncommit(t *testing.T) {
	g, dir := newRepo(t)
	was, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "mine.txt", "untracked")
	before := status(t, g)
	id, err := g.CommitFiles(t.Context(), map[string][]byte{lockfile.Name: []byte("lost"), "new.txt": []byte("x")}, "x")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Uncommit(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if now, err := g.Head(t.Context()); now != was || err != nil {
			t.Errorf("HEAD is %s, %v; want %s", now, err, was)
		}
		if diff := cmp.Diff(before, status(t, g)); diff != "" {
			t.Errorf("the working tree changed:\n%s", diff)
		}
	}
}
