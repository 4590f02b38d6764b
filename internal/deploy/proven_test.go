package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

// TestS03WhatWasProvenIsFoldedIntoTheLock: an apply writes down how far snapshots have
// come by the record. What the record forgot, or says of an epoch or a repository that
// is not the placement's, changes nothing.
func TestS03WhatWasProvenIsFoldedIntoTheLock(t *testing.T) {
	t.Parallel()
	at, before := time.Unix(2000, 0).UTC(), time.Unix(1000, 0).UTC()
	proven := func(epoch, seq int, at time.Time) fleet.Proven {
		return fleet.Proven{Epoch: epoch, Seq: seq, ID: "x", At: at}
	}
	p := fleet.Placement{Host: "alpha", Epoch: 2, Repositories: map[string]string{"nas": "b"}, Former: map[string][]string{"nas": {"a"}}}
	for name, c := range map[string]struct{ was, said, want map[string]fleet.Proven }{
		"nothing":            {},
		"the first":          {nil, map[string]fleet.Proven{"b": proven(2, 1, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 1, at)}},
		"a newer one":        {map[string]fleet.Proven{"b": proven(1, 9, before)}, map[string]fleet.Proven{"b": proven(2, 1, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 1, at)}},
		"forgotten":          {map[string]fleet.Proven{"b": proven(2, 5, before)}, nil, map[string]fleet.Proven{"b": proven(2, 5, before)}},
		"gone back":          {map[string]fleet.Proven{"b": proven(2, 5, before)}, map[string]fleet.Proven{"b": proven(2, 4, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 5, before)}},
		"a later epoch":      {nil, map[string]fleet.Proven{"b": proven(3, 1, time.Time{})}, nil},
		"another repository": {map[string]fleet.Proven{"gone": proven(1, 1, before)}, map[string]fleet.Proven{"c": proven(1, 1, time.Time{})}, nil},
		"a former one":       {nil, map[string]fleet.Proven{"a": proven(1, 7, time.Time{})}, map[string]fleet.Proven{"a": proven(1, 7, at)}},
	} {
		p.Proven = c.was
		if diff := cmp.Diff(c.want, marked(p, c.said, at).Proven); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestS03AnUnchangedFleetRemembersOnceADay: an apply with nothing to do makes a commit of
// what was proven where the lock knows none, or none of the last day.
func TestS03AnUnchangedFleetRemembersOnceADay(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("a", 64)
	for name, c := range map[string]struct {
		was  map[string]fleet.Proven
		want bool
	}{
		"none known": {nil, false},
		"lately":     {map[string]fleet.Proven{"b": {Epoch: 1, Seq: 1, ID: id, At: time.Now()}}, true},
		"long ago":   {map[string]fleet.Proven{"b": {Epoch: 1, Seq: 1, ID: id, At: time.Now().Add(-2 * rememberedFor)}}, false},
		"as it is":   {map[string]fleet.Proven{"b": {Epoch: 1, Seq: 2, ID: id, At: time.Now().Add(-2 * rememberedFor)}}, true},
	} {
		f := &surroundings{proven: map[string]map[string]fleet.Proven{"notes": {"b": {Epoch: 1, Seq: 2, ID: id}}}}
		s := session(f, nil)
		s.Fleet.Record.Remote = "disk"
		p := s.Lock.Stacks["notes"]
		p.Repositories, p.Proven = map[string]string{"nas": "b"}, c.was
		s.Lock.Stacks["notes"] = p
		noted := func(done bool) bool {
			lock, err := s.remembering(t.Context(), &Receipt{}, s.Lock, done)
			if err != nil {
				t.Fatal(err)
			}
			return lock.Stacks["notes"].Proven["b"].Seq > c.was["b"].Seq
		}
		if settled := !noted(true); settled != c.want {
			t.Errorf("%s: settled %v", name, settled)
		}
		if noted(false) {
			t.Errorf("%s: a run that was refused makes a commit", name)
		}
	}
	s := session(&surroundings{
		unproven: errors.New("away"), owners: map[string]Owner{"notes": {Host: "beta", Epoch: 2}, "blog": {Host: "alpha", Epoch: 1}},
	}, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	s.Fleet.Record.Remote = "disk"
	if settled, err := s.Settled(t.Context()); err != nil || !settled {
		t.Errorf("with the record away: %v, %v", settled, err)
	}
}

// TestARefusedApplyCommitsNothing: the host is locked by another apply, whose second
// commit must not lose the race to one that only notes what was proven.
func TestARefusedApplyCommitsNothing(t *testing.T) {
	t.Parallel()
	f := &surroundings{proven: map[string]map[string]fleet.Proven{"notes": {"b": {Epoch: 1, Seq: 2, ID: strings.Repeat("a", 64)}}}}
	s := session(f, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	s.Fleet.Record = fleet.Location{Remote: "disk", Path: "record"}
	s.Lock.Record = s.Fleet.Record
	p := s.Lock.Stacks["notes"]
	p.Repositories = map[string]string{"nas": "b"}
	s.Lock.Stacks["notes"] = p
	plan := Plan{Hosts: []HostPlan{{Host: "beta", Changes: []agentapi.Change{{Stack: "notes", ID: "services"}}}}}
	_, err := s.Apply(t.Context(), plan, s.Lock, Options{Kind: "apply"})
	if !errors.Is(err, errNoHost) || slices.ContainsFunc(f.log, func(s string) bool { return strings.HasPrefix(s, "commit") }) {
		t.Errorf("%v, asked %v", err, f.log)
	}
}
