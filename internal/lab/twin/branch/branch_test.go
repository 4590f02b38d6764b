package branch

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/git"
)

func always(context.Context, string) error { return nil }

// TestOnlyWhatIsPushedIsOnTheBranch: a commit is its clone's until then, and of two that
// build on the same one the second is refused and taken back.
func TestOnlyWhatIsPushedIsOnTheBranch(t *testing.T) {
	t.Parallel()
	h := NewHost(map[string][]byte{"a": []byte("0")})
	one, two := NewCommitter(h.Clone(), always), NewCommitter(h.Clone(), always)
	var ids []string
	for _, c := range []*Committer{one, two} {
		id, err := c.Commit(t.Context(), map[string][]byte{"a": []byte("1"), "b": []byte("1")}, "message")
		if err != nil || string(h.Files()["a"]) != "0" || !c.Clone.Unpushed() {
			t.Fatalf("committed: %v", err)
		}
		ids = append(ids, id)
	}
	if err := one.Push(t.Context()); err != nil || string(h.Files()["a"]) != "1" || one.Clone.Unpushed() {
		t.Errorf("pushed: %v", err)
	}
	if err := two.Push(t.Context()); !errors.Is(err, git.ErrDiverged) || two.Clone.Unpushed() || string(two.Clone.Files()["a"]) != "0" {
		t.Errorf("pushed late: %v", err)
	}
	c := h.Copy(always)
	if _, known := c.Contains(ids[0]); known {
		t.Error("a copy knows what it has not fetched")
	}
	if newest, err := c.Fetch(t.Context()); newest != ids[0] || err != nil {
		t.Errorf("fetched %s, %v", newest, err)
	}
	for id, want := range map[string]bool{ids[0]: true, ids[1]: false} {
		if on, known := c.Contains(id); on != want || !known {
			t.Errorf("%s: on the branch %v, known %v", id, on, known)
		}
	}
}

// TestAGitHostThatIsAwayTakesAndGivesNothing, and a clone keeps its commit for later.
func TestAGitHostThatIsAwayTakesAndGivesNothing(t *testing.T) {
	t.Parallel()
	h := NewHost(map[string][]byte{"a": []byte("0")})
	c := NewCommitter(h.Clone(), always)
	if _, err := c.Commit(t.Context(), map[string][]byte{"a": nil}, "message"); err != nil {
		t.Fatal(err)
	}
	h.SetAway(true)
	if err := c.Push(t.Context()); !errors.Is(err, git.ErrGitAway) || !c.Clone.Unpushed() {
		t.Errorf("pushed: %v", err)
	}
	if err := c.Clone.Fetch(t.Context(), always); !errors.Is(err, git.ErrGitAway) {
		t.Errorf("fetched: %v", err)
	}
	if _, err := h.Copy(always).Fetch(t.Context()); err == nil {
		t.Error("a host's copy was fetched")
	}
	h.SetAway(false)
	if err := c.Push(t.Context()); err != nil || h.Files()["a"] != nil {
		t.Errorf("pushed later: %v", err)
	}
}
