package git

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHistoryOfAFolder(t *testing.T) {
	g, dir := newRepo(t)
	ctx := t.Context()
	commit := func(message string) Commit {
		t.Helper()
		git(t, dir, "add", "-A")
		git(t, dir, "commit", "--no-verify", "-q", "-m", message)
		head, err := g.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	write(t, dir, "stacks/notes/compose.yaml", "one\n")
	write(t, dir, "stacks/notes/gone", "was here\n")
	first := commit("notes: one")
	write(t, dir, "stacks/blog/compose.yaml", "another stack\n")
	commit("blog")
	write(t, dir, "stacks/notes/compose.yaml", "two\n")
	write(t, dir, "stacks/notes/new", "came later\n")
	if err := os.Remove(filepath.Join(dir, "stacks/notes/gone")); err != nil {
		t.Fatal(err)
	}
	second := commit("notes: two, of course")

	logged, err := g.Log(ctx, 10, "stacks/notes")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range logged {
		got = append(got, string(l.Commit)+" "+l.Subject)
	}
	if diff := cmp.Diff([]string{string(second) + " notes: two, of course", string(first) + " notes: one"}, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}

	objects, err := g.Objects(ctx, []string{string(first) + ":stacks/notes/compose.yaml", string(first) + ":stacks/blog", string(second) + ":stacks/notes"})
	if err != nil {
		t.Fatal(err)
	}
	if string(objects[0].Content) != "one\n" || objects[1].ID != "" || objects[2].ID == "" {
		t.Errorf("objects: %q", objects)
	}

	files, err := g.Revert(ctx, "stacks/notes", first)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"stacks/notes/compose.yaml": []byte("one\n"), "stacks/notes/gone": []byte("was here\n"), "stacks/notes/new": nil}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files of a revert (-want +got):\n%s", diff)
	}
	if files, err := g.Revert(ctx, "stacks/notes", second); err != nil || len(files) != 0 {
		t.Errorf("a revert to what is there: %v, %v", files, err)
	}
}

func TestRevertDoesNotLoseModes(t *testing.T) {
	g, dir := newRepo(t)
	write(t, dir, "stacks/notes/run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "stacks/notes/run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "--no-verify", "-q", "-m", "executable")
	was, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	git(t, dir, "rm", "-q", "stacks/notes/run.sh")
	git(t, dir, "commit", "--no-verify", "-q", "-m", "gone")
	if _, err := g.Revert(t.Context(), "stacks/notes", was); !errors.Is(err, ErrMode) {
		t.Errorf("reverting to an executable that is gone: %v", err)
	}
}

func TestResolveTakesCommitsOfTheBranch(t *testing.T) {
	g, dir := newRepo(t)
	head, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := g.Resolve(t.Context(), head.Short()); err != nil || got != head {
		t.Errorf("resolved %s, %v", got, err)
	}
	git(t, dir, "checkout", "-q", "-b", "other")
	git(t, dir, "commit", "--no-verify", "-q", "--allow-empty", "-m", "elsewhere")
	elsewhere, err := g.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	git(t, dir, "checkout", "-q", "-")
	for _, name := range []string{string(elsewhere), "nothing", "--help", ""} {
		if got, err := g.Resolve(t.Context(), name); err == nil {
			t.Errorf("%q resolved to %s", name, got)
		}
	}
}

// TestTrailers: the lines at the end of a message are kept apart from its subject, which
// may look like one.
func TestTrailers(t *testing.T) {
	t.Parallel()
	g, dir := newRepo(t)
	write(t, dir, "a", "one\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "--no-verify", "-q", "-m", "Salvor-Rollback: wiki 1\n\nSalvor-Rollback: in the midst\nof a text\n\nSalvor-Rollback: notes 1a2b\nCo-authored-by: Ann\nSalvor-Rollback: blog 3c4d\n")
	write(t, dir, "a", "two\n")
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "--no-verify", "-q", "-m", "plain: subject")
	logged, err := g.Log(t.Context(), 10, "a")
	if err != nil || len(logged) != 2 {
		t.Fatalf("%+v, %v", logged, err)
	}
	if plain := logged[0]; plain.Subject != "plain: subject" || len(plain.Trailers) != 0 {
		t.Errorf("%+v", plain)
	}
	if diff := cmp.Diff([]string{"notes 1a2b", "blog 3c4d"}, logged[1].Trailer("Salvor-Rollback")); diff != "" || logged[1].Subject != "Salvor-Rollback: wiki 1" {
		t.Errorf("%q, trailers (-want +got):\n%s", logged[1].Subject, diff)
	}
}
