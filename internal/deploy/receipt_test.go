package deploy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/placement"
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

// TestTheWayBackIsPrinted is issue 10, C.15: a move whose target can't start the
// stack left it nowhere, and no line said how it gets back.
func TestTheWayBackIsPrinted(t *testing.T) {
	moves := []placement.Move{{Stack: "notes", From: "alpha", To: "beta", Epoch: 2}, {Stack: "new", To: "beta", Epoch: 1}}
	line := func(st agentapi.StackReceipt) []agentapi.HostReceipt {
		return []agentapi.HostReceipt{{Host: "alpha", Stacks: []agentapi.StackReceipt{{Name: "notes", Outcome: "stopped"}}}, {Host: "beta", Stacks: []agentapi.StackReceipt{st}}}
	}
	failed := agentapi.StackReceipt{Name: "notes", Outcome: "failed", Error: &agentapi.Error{Text: "no such device"}}
	back := []string{"notes does not run on beta; alpha still has its data, so you can go back with: salvor move notes --to alpha"}
	for name, c := range map[string]struct {
		at    string
		hosts []agentapi.HostReceipt
		want  []string
	}{
		"it failed there":     {"beta", line(failed), back},
		"no answer":           {"beta", nil, back},
		"it runs":             {"beta", line(agentapi.StackReceipt{Name: "notes", Outcome: "restored"}), nil},
		"it was not released": {"alpha", nil, nil},
	} {
		r := &Receipt{Placed: map[string]string{"notes": c.at, "new": "beta"}, Hosts: c.hosts}
		if diff := cmp.Diff(c.want, r.waysBack(moves)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAReceiptNamesWhatIsNotLive(t *testing.T) {
	why := "Cloudflare's API does not answer"
	many := []string{"a.x.de", "b.x.de", "c.x.de", "d.x.de", "e.x.de", "f.x.de", "g.x.de"}
	for want, r := range map[string]*agentapi.RoutesReceipt{
		"": {Live: many},
		"not live yet: a.x.de: " + why + "; alpha goes on trying, and salvor route ls shows how far it is":                               {Pending: many[:1], Why: why},
		"not live yet: a.x.de, b.x.de, c.x.de, d.x.de, e.x.de and 2 more; alpha goes on trying, and salvor route ls shows how far it is": {Pending: many},
		"alpha could not look at its public hostnames: " + why + "; alpha goes on trying, and salvor route ls shows how far it is":       {Live: many, Why: why},
	} {
		var got string
		for _, line := range unpublished(agentapi.HostReceipt{Host: "alpha", Routes: r}) {
			got += line
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
