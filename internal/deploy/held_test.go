package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// TestS04AClaimThatStopsOneStackKeepsNoOtherFromBeingApplied: the one is left as it
// runs and named, the other is claimed and applied.
func TestS04AClaimThatStopsOneStackKeepsNoOtherFromBeingApplied(t *testing.T) {
	t.Parallel()
	f := &surroundings{owners: map[string]Owner{"notes": {Host: "gamma", Epoch: 7}, "blog": {Host: "alpha", Epoch: 1}}}
	s := session(f, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	s.Fleet.Record = fleet.Location{Remote: "disk", Path: "record"}
	s.Lock.Record = s.Fleet.Record
	found := s.TakenOver(t.Context(), s.Lock)
	if len(found) != 1 || found[0].Stack != "notes" || found[0].Code != finding.StackTakenOver || !strings.Contains(found[0].Text, "gamma") {
		t.Fatalf("%+v", found)
	}
	if !s.Hold(found) || s.Hold(found) {
		t.Error("held not once")
	}
	next, moves := Next(s.Fleet, s.Lock, nil)
	change := func(host, stack string) HostPlan {
		return HostPlan{Host: host, Changes: []agentapi.Change{{Stack: stack, ID: "services"}}}
	}
	plan := Plan{Hosts: []HostPlan{change("alpha", "blog"), change("beta", "notes")}}
	r, err := s.Apply(t.Context(), plan, next, Options{Kind: "apply", Moves: moves})
	if errors.Is(err, ErrOutrun) || !slices.ContainsFunc(r.Phases, func(p agentapi.Phase) bool { return p.Name == "apply" }) {
		t.Errorf("%v in %+v", err, r.Phases)
	}
	if settled, err := s.Settled(t.Context()); err != nil || !settled {
		t.Errorf("what is left to others is never settled: %v", err)
	}
}

// TestS05AHostsFindingsStopNoOtherHost: what one calls fatal is about its own stacks,
// or it is left alone.
func TestS05AHostsFindingsStopNoOtherHost(t *testing.T) {
	t.Parallel()
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta"}, "blog": {Host: "alpha"}}}
	for subject, want := range map[string]string{
		"beta/notes": "notes", "beta/notes/db": "notes", "notes": "notes", "notes/db": "notes",
		"beta": "", "beta/blog": "", "blog": "", "alpha/blog": "", "this host": "",
	} {
		seen := map[string]Observation{"beta": {State: agentapi.HostState{Findings: []finding.Finding{{Code: finding.VolumeOccupied, Severity: finding.Fatal, Subject: subject}}}}}
		held := Scoped(seen, lock)
		got := ""
		if len(held) > 0 {
			got = held[0].Stack
		}
		if got != want || (seen["beta"].Err != nil) != (want == "") {
			t.Errorf("%s: about %q, host %v", subject, got, seen["beta"].Err)
		}
		p := MakePlan(&fleet.Fleet{Hosts: []fleet.Host{{Name: "beta"}}}, "c1", nil, seen)
		if _, others := finding.Of(p.Findings); finding.AnyFatal(others) {
			t.Errorf("%s stands in the way of all: %+v", subject, others)
		}
	}
}
