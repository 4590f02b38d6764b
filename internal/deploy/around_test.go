package deploy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// hooks notes what it is asked, and fails where it is to.
type hooks struct {
	mu    sync.Mutex
	w     *deploytest.World
	calls []string
	fails string
}

func (h *hooks) call(what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, what)
	h.w.Note("%s", what)
	if what == h.fails {
		return fault.WithHint(errors.New("playbooks/x.yml failed"), "salvor ansible")
	}
	return nil
}

// Before implements deploy.Around.
func (h *hooks) Before(_ context.Context, host string, _ progress.Sink) error {
	return h.call("before " + host)
}

// After implements deploy.Around.
func (h *hooks) After(_ context.Context, host string, _ progress.Sink) error {
	return h.call("after " + host)
}

// TestAroundAHost: a failure before it keeps that host as it is and no other, and runs that
// are not an apply have nothing around them.
func TestAroundAHost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    deploy.Kind
		fails   string
		calls   []string
		applied []string
		want    string
	}{
		"all is well":      {deploy.KindApply, "", []string{"after alpha", "after beta", "before alpha", "before beta"}, []string{"alpha", "beta"}, ""},
		"one fails before": {deploy.KindApply, "before alpha", []string{"after beta", "before alpha", "before beta"}, []string{"beta"}, "nothing is applied to alpha: playbooks/x.yml failed"},
		"one fails after":  {deploy.KindApply, "after alpha", []string{"after alpha", "after beta", "before alpha", "before beta"}, []string{"alpha", "beta"}, "playbooks/x.yml failed"},
		"a move":           {deploy.KindMove, "before alpha", nil, []string{"alpha", "beta"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := world()
			around := &hooks{w: w, fails: test.fails}
			s.Around = around
			next, move := placement.MoveTo(s.Lock, "notes", "alpha")
			moves := []placement.Move{move}
			plan := deploy.MakePlan(s.Fleet, s.Commit, moves, s.Observe(t.Context(), next))
			_, err := s.Apply(t.Context(), plan, next, deploy.Options{Kind: test.kind, Moves: moves})
			if (err == nil) != (test.want == "") || err != nil && (!strings.Contains(err.Error(), test.want) || fault.Hint(err) != "salvor ansible") {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			slices.Sort(around.calls)
			if !slices.Equal(around.calls, test.calls) {
				t.Errorf("it ran %q", around.calls)
			}
			var applied []string
			for _, host := range []string{"alpha", "beta"} {
				if w.Applied(host).Host.Name != "" {
					applied = append(applied, host)
				}
			}
			if !slices.Equal(applied, test.applied) {
				t.Errorf("applied to %q", applied)
			}
		})
	}
}
