package deploy

import (
	"errors"
	"slices"
	"testing"

	"salvor/internal/proposal"
)

// TestDownAndUp: what a command declares of a stack is committed before its host hears
// of it, and asks by the name that people know.
func TestDownAndUp(t *testing.T) {
	for _, c := range []struct {
		propose  func(*Session, string) (proposal.Proposal[Receipt], error)
		question string
		commit   string
		stopped  bool
	}{
		{(*Session).Down, "Stop diary? Its volumes are kept.", "commit down: notes", true},
		{(*Session).Up, "Start diary?", "commit up: notes", false},
	} {
		f := &surroundings{}
		s := session(f, nil)
		s.Fleet.Stacks[0].Called = "diary"
		p := s.Lock.Stacks["notes"]
		p.Stopped = !c.stopped
		s.Lock.Stacks["notes"] = p
		change, err := c.propose(s, "notes")
		if err != nil || change.Question != c.question || change.Name != "" || len(f.log) > 0 {
			t.Errorf("%+v, %v, asked %v", change, err, f.log)
		}
		r, err := change.Run(t.Context(), nil)
		if !errors.Is(err, errNoHost) || s.Lock.Stacks["notes"].Stopped != c.stopped || !slices.Contains(f.log, c.commit) || !slices.Equal(r.Asked, []string{"notes"}) {
			t.Errorf("%v, stopped %v, asked %v, about %v", err, s.Lock.Stacks["notes"].Stopped, f.log, r.Asked)
		}
		if _, err := c.propose(s, "wiki"); err == nil || err.Error() != "stack wiki is not placed anywhere" {
			t.Errorf("a stack that is placed nowhere: %v", err)
		}
	}
}
