package checkout

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"salvor/internal/finding"
	"salvor/internal/machine"
)

// TestTheGitHostIsAskedOnce for what AboutClone says, be it while the commit is opened, and
// again when it is asked for later.
func TestTheGitHostIsAskedOnce(t *testing.T) {
	t.Parallel()
	dir, remote := withRemote(t)
	other := filepath.Join(t.TempDir(), "other")
	run(t, dir, "clone", "--quiet", remote, other)
	run(t, other, "commit", "--quiet", "--allow-empty", "--message", "of someone else")
	run(t, other, "push", "--quiet")
	for name, open := range map[string]func(context.Context, string, Files) (*Checkout, error){"before": OpenWithNews, "then": Open} {
		var asked atomic.Int32
		ctx := machine.WithTrace(t.Context(), func(r machine.Ran) {
			if slices.Contains(r.Argv, "ls-remote") {
				asked.Add(1)
			}
		})
		c, err := open(ctx, dir, Committed)
		if err != nil {
			t.Fatal(err)
		}
		for times := range int32(2) {
			found, err := c.AboutClone(ctx)
			if err != nil || len(found) != 1 || found[0].Code != finding.CloneBehind || asked.Load() != times+1 {
				t.Errorf("%s: %+v, %v, asked %d times", name, found, err, asked.Load())
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatAsksTheGitHostEndsWithTheCheckout, also where the commit does not load.
func TestWhatAsksTheGitHostEndsWithTheCheckout(t *testing.T) {
	t.Parallel()
	dir, _ := withRemote(t)
	c, err := OpenWithNews(t.Context(), dir, Committed)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil || c.behind != nil {
		t.Errorf("%v", err)
	}
	run(t, dir, "rm", "--quiet", "fleet.yaml")
	run(t, dir, "commit", "--quiet", "--no-verify", "--message", "no fleet")
	if c, err := OpenWithNews(t.Context(), dir, Committed); err == nil || c != nil && c.behind != nil {
		t.Errorf("%+v, %v", c, err)
	}
}
