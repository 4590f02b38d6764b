package deploy_test

import (
	"errors"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fleet"
)

// TestTakeSnapshot asks the host that has the stack, and no question.
func TestTakeSnapshot(t *testing.T) {
	t.Parallel()
	w := &deploytest.World{Alive: map[string]bool{"alpha": true, "beta": true}, Taken: agentapi.SnapshotReceipt{Stack: "notes", Verified: "read back"}}
	s := w.Session(
		&fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}}},
		fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}},
	)
	p, err := s.TakeSnapshot(agentapi.TakeSnapshot{Stack: "notes", AcceptShrunk: true})
	if err != nil || p.Question != "" || p.Name != "" || len(w.Log()) > 0 {
		t.Fatalf("%+v, %v, asked %v", p, err, w.Log())
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || r.Verified != "read back" {
		t.Errorf("%+v, %v", r, err)
	}
	if log := w.Log(); len(log) != 1 || log[0] != "alpha takes a snapshot of notes, shrunk or not" {
		t.Errorf("asked %q", log)
	}
	if _, err := s.TakeSnapshot(agentapi.TakeSnapshot{Stack: "wiki"}); err == nil || err.Error() != "stack wiki is not placed anywhere" {
		t.Errorf("a stack that is placed nowhere: %v", err)
	}
	w.Refuse = map[string]error{agentapi.VerbSnapshot: errors.New("no space left")}
	p, err = s.TakeSnapshot(agentapi.TakeSnapshot{Stack: "notes"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err == nil {
		t.Error("the host's refusal is lost")
	}
}
