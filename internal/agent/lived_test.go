package agent

import (
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// lived is a stack whose host is asked, and watched, as a whole.
type lived struct{ *agenttest.Lived }

func newLived(t *testing.T) *lived {
	t.Helper()
	return &lived{agenttest.NewLived(t)}
}

func (l *lived) agent() *Host { return (*Host)(l.Host) }

// state is what the host says of the stack.
func (l *lived) state(t *testing.T) (agentapi.HostState, agentapi.StackState) {
	t.Helper()
	var state agentapi.HostState
	l.Spec.Stacks = []agentapi.Stack{l.Stack}
	if err := l.agent().observeStacks(t.Context(), l.Spec, &state); err != nil {
		t.Fatal(err)
	}
	return state, state.Stacks[0]
}

// round is what the daemon, which was not killed, does next.
func (l *lived) round(t *testing.T) {
	t.Helper()
	l.Spec.Stacks = []agentapi.Stack{l.Stack}
	if err := (&daemon{l.agent()}).finishRuns(t.Context(), progress.Discard()); err != nil {
		t.Error(err)
	}
}

// checkNothingLeft checks that the daemon sees nothing to finish.
func (l *lived) checkNothingLeft(t *testing.T) {
	t.Helper()
	if left := (&daemon{l.agent()}).leftOver(l.Spec); len(left) > 0 {
		t.Errorf("still to be finished: %v", left[0].Name)
	}
}
