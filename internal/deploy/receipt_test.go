package deploy

import (
	"slices"
	"testing"

	"salvor/internal/agentapi"
)

// TestReceiptSaysWhatBecameOfAStack is fault F5: the old host's "stopped" stood in
// the receipt of a move that went well whenever that host reported last.
func TestReceiptSaysWhatBecameOfAStack(t *testing.T) {
	hosts := []agentapi.HostReceipt{
		{Host: "alpha", Stacks: []agentapi.StackReceipt{{Name: "notes", Outcome: "stopped"}, {Name: "gone", Outcome: "stopped"}}},
		{Host: "beta", Stacks: []agentapi.StackReceipt{{Name: "notes", Outcome: "restored"}}},
	}
	for range 2 {
		r := Receipt{Hosts: hosts, Placed: map[string]string{"notes": "beta"}}
		if all := r.Stacks(); all["notes"].Outcome != "restored" || all["gone"].Outcome != "stopped" || !r.Up("notes") {
			t.Errorf("after %s: %+v", hosts[1].Host, all)
		}
		slices.Reverse(hosts)
	}
}

// TestAReceiptKnowsWhoHasAStack: Apply fills in what Stacks judges by.
func TestAReceiptKnowsWhoHasAStack(t *testing.T) {
	f := &surroundings{}
	s := session(f, nil)
	r, err := s.Apply(t.Context(), Plan{}, s.Lock, Options{Kind: "move", Asked: []string{"notes"}})
	if err != nil || r.Placed["notes"] != "beta" || r.Placed["blog"] != "alpha" || !slices.Equal(r.Asked, []string{"notes"}) {
		t.Errorf("%+v, %v", r, err)
	}
}
