package deploy

import (
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/placement"
)

// TestTheSameRestoreAgain is fault V15.4: `salvor restore notes --snapshot X` once
// more did nothing after the host had fulfilled the earlier wish for X.
func TestTheSameRestoreAgain(t *testing.T) {
	wish := &fleet.Restore{ID: "one", Epoch: 2, Snapshot: "aaaa"}
	for name, c := range map[string]struct {
		snapshot string
		told     *agentapi.Wish
		goesOn   bool
	}{
		"cut short":                    {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishPending}, true},
		"fulfilled, the lock is late":  {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishDone}, false},
		"failed":                       {"aaaa", &agentapi.Wish{ID: "one", State: agentapi.WishFailed}, false},
		"another snapshot":             {"bbbb", &agentapi.Wish{ID: "one", State: agentapi.WishPending}, false},
		"the host does not say":        {"aaaa", nil, true},
		"the host knows an older wish": {"aaaa", &agentapi.Wish{ID: "zero", State: agentapi.WishDone}, true},
	} {
		if got := goesOn(wish, c.snapshot, c.told); got != c.goesOn {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWithdraw is fault F19: a restore that failed could only be taken out of the
// lock by `git revert`.
func TestWithdraw(t *testing.T) {
	f := &surroundings{}
	s := session(f, nil)
	if _, err := s.Withdraw(t.Context(), "notes"); err == nil {
		t.Error("withdrew what nobody wished")
	}
	s.Lock = placement.Restore(s.Lock, "notes", "aaaa")
	if _, err := s.Withdraw(t.Context(), "notes"); err == nil || s.Lock.Stacks["notes"].Restore != nil {
		t.Errorf("%v, wish %v", err, s.Lock.Stacks["notes"].Restore)
	}
}
