package deploy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
)

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
			lock, err := s.Begin(Plan{}, s.Lock, Options{}).remembering(t.Context(), s.Lock, done)
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
