package deploy

import (
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
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

// What was wished at one placement is void at the next, and does not stand in the
// lock for ever.
func TestAMoveEndsAWish(t *testing.T) {
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 2, Restore: &fleet.Restore{ID: "one", Epoch: 2, Snapshot: "aaaa"}}}}
	stays, _ := Next(&fleet.Fleet{Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}}}, lock, nil)
	moves, _ := Next(&fleet.Fleet{Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}}}, lock, nil)
	if stays.Stacks["notes"].Restore == nil || moves.Stacks["notes"].Restore != nil {
		t.Errorf("stays: %v, moves: %v", stays.Stacks["notes"].Restore, moves.Stacks["notes"].Restore)
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
	p := s.Lock.Stacks["notes"]
	p.Restore = NewWish(p, "aaaa")
	s.Lock.Stacks["notes"] = p
	if _, err := s.Withdraw(t.Context(), "notes"); err == nil || s.Lock.Stacks["notes"].Restore != nil {
		t.Errorf("%v, wish %v", err, s.Lock.Stacks["notes"].Restore)
	}
}
