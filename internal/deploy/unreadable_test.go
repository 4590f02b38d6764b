package deploy

import (
	"context"
	"io"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

// TestS05AnAnswerThatCantBeReadTeachesNothing: alpha speaks for beta in an answer of
// which another part has the wrong type, so that it is never held to its question.
func TestS05AnAnswerThatCantBeReadTeachesNothing(t *testing.T) {
	m := machinetest.NewFake()
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		_, _ = io.WriteString(p.Stdout, `{"result":{"schema":"x","host":"beta","stacks":[{"name":"notes","epoch":2,"images":{"web":"evil@sha256:66"},"born":{"db":"2020-01-01T00:00:00Z"}}]}}`+"\n")
		return 0
	}, hostpath.Salvord, agentapi.VerbApply)
	f := &surroundings{link: &hostlink.Link{Host: "alpha", Machine: m, Carrier: noCarrier{}, Sink: progress.Discard()}}
	s := session(f, map[string]fleet.VolumeState{})
	r, err := s.Apply(t.Context(), Plan{Hosts: []HostPlan{{Host: "alpha", Changes: []agentapi.Change{{Stack: "blog", ID: "services"}}}}}, s.Lock, Options{Kind: "apply", Unplanned: true})
	if p := s.Lock.Stacks["notes"]; err == nil || len(r.Hosts) > 0 || len(p.Images)+len(p.Volumes) > 0 {
		t.Errorf("alpha says of beta's stack %+v; receipts %+v, %v", p, r.Hosts, err)
	}
}
