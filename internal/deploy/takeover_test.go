package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

type noCarrier struct{}

func (noCarrier) Version() string                    { return "1" }
func (noCarrier) Open(string) (io.ReadCloser, error) { return nil, errors.New("nothing to install") }

// answering is a host whose salvord does what it is asked, and notes it.
func answering(t *testing.T, f *surroundings, host string) *hostlink.Link {
	t.Helper()
	m := machinetest.NewFake()
	for _, verb := range []string{agentapi.VerbRelease, agentapi.VerbFence, agentapi.VerbApply, agentapi.VerbPrepare} {
		m.Handle(func(_ context.Context, p machinetest.Process) int {
			var req agentapi.Request
			var body struct {
				Stack  string
				Epoch  int
				Stacks map[string]int
				Wait   map[string]time.Duration
			}
			if err := errors.Join(json.NewDecoder(p.Stdin).Decode(&req), json.Unmarshal(req.Body, &body)); err != nil {
				t.Error(err)
			}
			switch verb {
			case agentapi.VerbRelease:
				f.note(fmt.Sprintf("%s releases %s at %d", host, body.Stack, body.Epoch))
			case agentapi.VerbFence:
				f.note(fmt.Sprintf("%s stops %v", host, body.Stacks))
			case agentapi.VerbApply:
				f.note(fmt.Sprintf("%s applies, waits for %d stacks", host, len(body.Wait)))
			}
			fmt.Fprintln(p.Stdout, `{"result":{}}`)
			return 0
		}, hostpath.Salvord, verb)
	}
	return &hostlink.Link{Host: host, Machine: m, Carrier: noCarrier{}, Sink: progress.Discard()}
}

// recorded is session with a record remote and keys.
func recorded(f *surroundings) *Session {
	s := session(f, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	s.Fleet.Record = fleet.Location{Remote: "nas", Path: "salvor/record"}
	s.Lock.Record = s.Fleet.Record
	s.Keys, s.Lease = map[string]string{"alpha": "age1alpha", "beta": "age1beta"}, time.Minute
	return s
}

func onBeta() Plan { return Plan{Hosts: []HostPlan{{Host: "beta"}}} }

// TestAResumedMoveReleasesAgain is fault V5: a move was interrupted after its commit,
// and its old host has run the stack since. It releases again before anything is
// published or claimed, whatever command continues.
func TestAResumedMoveReleasesAgain(t *testing.T) {
	for _, kind := range []Kind{KindMove, KindApply} {
		for name, ahead := range map[string]bool{"before the push": true, "before the claim": false} {
			t.Run(string(kind)+" cut "+name, func(t *testing.T) {
				f := &surroundings{ahead: ahead, owners: map[string]Owner{"notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}}}
				f.link = answering(t, f, "alpha")
				s := recorded(f)
				_, err := s.Apply(t.Context(), onBeta(), s.Lock, Options{Kind: kind, Unplanned: true})
				if !errors.Is(err, errNoHost) { // beta is not there
					t.Error(err)
				}
				// and once more when it is claimed, in case it was started meanwhile
				want := []string{"push", "alpha releases notes at 1", "claim notes for beta from c1", "alpha releases notes at 1"}
				if ahead {
					want = []string{"ask Git", "alpha releases notes at 1", "push", "claim notes for beta from c1", "alpha releases notes at 1"}
				}
				if diff := cmp.Diff(want, f.log); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestAResumedMoveWithoutItsOldHost is fault V5: nothing is claimed while it is
// unknown what the old host wrote.
func TestAResumedMoveWithoutItsOldHost(t *testing.T) {
	f := &surroundings{ahead: true, owners: map[string]Owner{"notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}}}
	s := recorded(f)
	_, err := s.Apply(t.Context(), onBeta(), s.Lock, Options{Kind: "move", Unplanned: true})
	if err == nil || !strings.Contains(fault.Hint(err), "salvor recover alpha --to") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if diff := cmp.Diff([]string{"ask Git"}, f.log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestALostClaimReleasesNobody is fault V9: the new host runs the stack, so that the
// old one, which the claim before names, has nothing to add.
func TestALostClaimReleasesNobody(t *testing.T) {
	f := &surroundings{owners: map[string]Owner{"notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}, "blog": {Host: "alpha", Key: "age1alpha", Epoch: 1}}}
	f.link = answering(t, f, "alpha")
	s := recorded(f)
	_, err := s.Apply(t.Context(), Plan{Hosts: []HostPlan{{Host: "alpha"}, {Host: "beta"}}}, s.Lock, Options{Kind: "apply"})
	if diff := cmp.Diff([]string{"push", "claim notes for beta from c1"}, f.log); err != nil || diff != "" {
		t.Errorf("%v, asked (-want +got):\n%s", err, diff)
	}
	f.log = nil
	waiting := HostPlan{Host: "beta", Changes: []agentapi.Change{{Stack: "notes", ID: "services", Action: "~"}}}
	_, _ = s.Apply(t.Context(), Plan{Hosts: []HostPlan{{Host: "alpha"}, waiting}}, s.Lock, Options{Kind: "apply"})
	if !slices.Contains(f.log, "alpha releases notes at 1") {
		t.Errorf("a stack that does not run there yet: asked %q", f.log)
	}
}

// TestAMissingClaimIsPutBack is fault V9: also when the plan is empty.
func TestAMissingClaimIsPutBack(t *testing.T) {
	whole := map[string]Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 2}, "blog": {Host: "alpha", Key: "age1alpha", Epoch: 1}}
	f := &surroundings{owners: whole}
	s := recorded(f)
	if settled, err := s.Settled(t.Context()); err != nil || !settled {
		t.Fatalf("settled %v, %v", settled, err)
	}
	f.log, f.owners = nil, map[string]Owner{"notes": {}, "blog": whole["blog"]}
	if settled, err := s.Settled(t.Context()); err != nil || settled {
		t.Errorf("settled %v, %v", settled, err)
	}
	_, err := s.Apply(t.Context(), Plan{Hosts: []HostPlan{{Host: "alpha"}, {Host: "beta"}}}, s.Lock, Options{Kind: "apply"})
	if diff := cmp.Diff([]string{"push", "claim notes for beta from c1"}, f.log); err != nil || diff != "" {
		t.Errorf("%v, asked (-want +got):\n%s", err, diff)
	}
}

// TestTakenOverElsewhere is a kin of V20: the claims are ahead of this clone, so
// nothing is stopped, committed or published.
func TestTakenOverElsewhere(t *testing.T) {
	f := &surroundings{ahead: true, owners: map[string]Owner{"notes": {Host: "beta", Key: "age1another", Epoch: 2}}}
	f.link = answering(t, f, "alpha")
	s := recorded(f)
	_, err := s.Apply(t.Context(), onBeta(), s.Lock, Options{Kind: "apply", Unplanned: true})
	if !errors.Is(err, ErrOutrun) {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"ask Git"}, f.log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestTheFirstPlacementSettlesTheRecord is fault D6: from the commit that places the
// first stack on, the lock has the record's place.
func TestTheFirstPlacementSettlesTheRecord(t *testing.T) {
	f := &surroundings{}
	s := session(f, nil)
	s.Fleet.Record = fleet.Location{Remote: "nas", Path: "salvor/home-1a2b3c4d/record"}
	next := s.Lock
	s.Lock = fleet.Lock{Record: fleet.Location{Path: "salvor/home-1a2b3c4d/record"}}
	if _, err := s.Apply(t.Context(), Plan{}, next, Options{Kind: "apply"}); err != nil || s.Lock.Record != s.Fleet.Record {
		t.Errorf("it is at %s, %v", s.Lock.Record, err)
	}
}
