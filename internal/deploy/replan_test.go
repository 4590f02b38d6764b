package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

// changing is a host whose daemon works: what is observed there changes, and an apply
// that was planned before is refused.
type changing struct {
	link    *hostlink.Link
	now     agentapi.HostState
	rests   bool // it changes no more
	seen    int  // how often it was observed
	applied int
}

func newChanging(t *testing.T, now agentapi.HostState, rests bool) *changing {
	t.Helper()
	c := &changing{now: now, rests: rests}
	c.now.Fingerprint = "now"
	m := machinetest.NewFake()
	answer := func(p machinetest.Process, message agentapi.Message) int {
		if err := json.NewEncoder(p.Stdout).Encode(message); err != nil {
			t.Error(err)
		}
		return 0
	}
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		c.seen++
		state, err := json.Marshal(c.now)
		if err != nil {
			t.Error(err)
		}
		if !c.rests {
			c.now.Fingerprint += "'"
		}
		return answer(p, agentapi.Message{Result: state})
	}, hostpath.Salvord, agentapi.VerbObserve)
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		var req struct{ Body agentapi.Apply }
		if err := json.NewDecoder(p.Stdin).Decode(&req); err != nil {
			t.Error(err)
		}
		if req.Body.Fingerprint == c.now.Fingerprint {
			c.applied++
			return answer(p, agentapi.Message{Result: json.RawMessage(`{"host":"beta"}`)})
		}
		return answer(p, agentapi.Message{Error: &agentapi.Error{Code: agentapi.CodeMoved, Text: "the host changed since the plan was made"}})
	}, hostpath.Salvord, agentapi.VerbApply)
	c.link = &hostlink.Link{Host: "beta", Machine: m, Carrier: noCarrier{}, Sink: progress.Discard()}
	return c
}

// TestAHostThatChangedIsPlannedAgain is issue 10, point 6: an apply during which the
// daemon finished something ended with "the host changed since the plan was made".
func TestAHostThatChangedIsPlannedAgain(t *testing.T) {
	services := agentapi.Change{Stack: "notes", ID: "services", Action: "~", Cause: "not running: app"}
	other := agentapi.Change{Stack: "notes", ID: "services", Action: "~", Cause: "the project differs from what is deployed"}
	volume := agentapi.Change{Stack: "notes", ID: "volume data", Action: "~", Destroys: "what was written since"}
	fatal := finding.Finding{Code: finding.VolumeOccupied, Severity: finding.Fatal, Subject: "beta/notes", Text: "data"}
	no := errors.New("not confirmed")
	for name, c := range map[string]struct {
		now    agentapi.HostState
		answer error
		asked  string
		done   bool
	}{
		"less is left to do":         {now: agentapi.HostState{}, done: true},
		"the same for another cause": {now: agentapi.HostState{Changes: []agentapi.Change{other}}, done: true},
		"more, and accepted":         {now: agentapi.HostState{Changes: []agentapi.Change{services, volume}}, asked: "services, volume data", done: true},
		"more, and not accepted":     {now: agentapi.HostState{Changes: []agentapi.Change{services, volume}}, asked: "services, volume data", answer: no},
		"something in the way":       {now: agentapi.HostState{Findings: []finding.Finding{fatal}}, asked: "beta/notes", answer: no},
	} {
		t.Run(name, func(t *testing.T) {
			host := newChanging(t, c.now, true)
			s := session(&surroundings{link: host.link}, nil)
			asked := []string{}
			accept := func(p Plan) error {
				for _, change := range p.Hosts[0].Changes {
					asked = append(asked, change.ID)
				}
				for _, f := range p.Findings {
					asked = append(asked, f.Subject)
				}
				return c.answer
			}
			plan := Plan{Hosts: []HostPlan{{Host: "beta", Changes: []agentapi.Change{services}, Fingerprint: "the world before"}}}
			r, err := s.Apply(t.Context(), plan, s.Lock, Options{Kind: "apply", Accept: accept})
			if !errors.Is(err, c.answer) || (host.applied == 1) != c.done || (len(r.Hosts) == 1) != c.done {
				t.Errorf("applied %d times, %+v, %v", host.applied, r.Hosts, err)
			}
			if got := strings.Join(asked, ", "); got != c.asked {
				t.Errorf("asked about %q, want %q", got, c.asked)
			}
		})
	}
}

// TestAHostThatKeepsChangingIsLeft: planning again has an end, and the exit code is
// salvor's.
func TestAHostThatKeepsChangingIsLeft(t *testing.T) {
	host := newChanging(t, agentapi.HostState{}, false)
	s := session(&surroundings{link: host.link}, nil)
	plan := Plan{Hosts: []HostPlan{{Host: "beta", Changes: []agentapi.Change{{Stack: "notes", ID: "services"}}, Fingerprint: "the world before"}}}
	_, err := s.Apply(t.Context(), plan, s.Lock, Options{Kind: "apply"})
	if code, _ := fault.Code(err); code != fault.General || !strings.Contains(fmt.Sprint(err), "beta: the host changed since") || host.applied > 0 || host.seen != replans {
		t.Errorf("applied %d times, planned again %d times, %v", host.applied, host.seen, err)
	}
}
