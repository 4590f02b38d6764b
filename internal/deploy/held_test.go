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
	"salvor/internal/placement"
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
	next, moves := placement.Next(s.Fleet, s.Lock, nil)
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
	for subject, whole := range map[string]bool{ // the whole host is left alone
		"beta/notes": false, "beta/notes/db": false, "notes": false, "notes/db": false,
		"beta": true, "beta/blog": true, "blog": true, "alpha/blog": true, "this host": true,
	} {
		seen := map[string]Observation{"beta": {State: agentapi.HostState{Findings: []finding.Finding{{Code: finding.VolumeOccupied, Severity: finding.Fatal, Subject: subject}}}}}
		held := Scoped(seen, lock)
		if len(held) != 1 || held[0].Stack != "notes" || (seen["beta"].Err != nil) != whole {
			t.Errorf("%s: about %+v, host %v", subject, held, seen["beta"].Err)
		}
		p := MakePlan(&fleet.Fleet{Hosts: []fleet.Host{{Name: "beta"}}}, "c1", nil, seen)
		if _, others := finding.Of(p.Findings); finding.AnyFatal(others) {
			t.Errorf("%s stands in the way of all: %+v", subject, others)
		}
	}
}

// TestS06NothingIsSealedForAHostLeftAlone: a host says that its key is not the one that
// Git has. Its stacks are left out of the seals too, also by an apply that continues
// without the host.
func TestS06NothingIsSealedForAHostLeftAlone(t *testing.T) {
	t.Parallel()
	s := session(&surroundings{}, nil)
	s.Keys = map[string]string{"beta": "age1git"}
	seen := map[string]Observation{"beta": {State: agentapi.HostState{Findings: s.otherMachine("beta", agentapi.HostKeys{Recipient: "age1beta"})}}}
	if !s.Hold(Scoped(seen, s.Lock)) {
		t.Error("nothing is held")
	}
	for _, st := range s.Fleet.Stacks {
		if st.Broken != (st.Name == "notes") {
			t.Errorf("%s is left out: %t", st.Name, st.Broken)
		}
	}
}
