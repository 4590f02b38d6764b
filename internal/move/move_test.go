package move

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// house has notes on alpha, next to it beta.
type house struct {
	deploytest.World
	fleet   *fleet.Fleet
	lock    fleet.Lock
	broken  error
	session *deploy.Session // the last that was opened
}

func newHouse() *house {
	h := &house{
		fleet: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}}},
		lock:  fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}},
	}
	h.Alive = map[string]bool{"alpha": true, "beta": true}
	h.Owners = map[string]deploy.Owner{"notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}}
	return h
}

func (h *house) Fleet() *fleet.Fleet { return h.fleet }
func (h *house) Lock() fleet.Lock    { return h.lock }
func (h *house) Broken(string) error { return h.broken }

func (h *house) Rehost(stacks []string, host string) (map[string][]byte, error) {
	h.Note("rehost %v on %s", stacks, host)
	return map[string][]byte{"stacks": nil}, nil
}

func (h *house) EnrolCommitted(_ context.Context, to fleet.Host) error {
	h.Note("enrol %s", to.Name)
	return nil
}

func (h *house) Session(_ context.Context, sink progress.Sink) (*deploy.Session, error) {
	h.session = h.World.Session(h.fleet, h.lock)
	h.session.Sink = sink
	return h.session, nil
}

// TestTheOrderOfAMove: the old host releases the stack before anything is committed or
// claimed, and the new one starts it last.
func TestTheOrderOfAMove(t *testing.T) {
	t.Parallel()
	h := newHouse()
	p, err := Prepare(h, "notes", "beta")
	if err != nil || p.Question != "Move notes from alpha to beta? It is stopped while its data moves." || len(h.Log()) > 0 {
		t.Fatalf("%+v, %v, asked %v", p, err, h.Log())
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := h.Log()
	want := []string{"rehost [notes] on beta", "enrol beta", "push", "seal notes", "alpha releases notes at 1", "commit move: placements", "push", "claim notes for beta at 2", "alpha releases notes at 1"}
	if diff := cmp.Diff(want, log[:len(log)-2]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if _, has := h.Commits()[0].Files["stacks"]; !has {
		t.Error("the placement's commit lacks the stack's file")
	}
	if r.Kind != deploy.KindMove || r.Placed["notes"] != "beta" || len(r.Pending) > 0 {
		t.Errorf("receipt %+v", r)
	}
	h.lock = h.session.Lock
	h.Owners = map[string]deploy.Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 2}}
	again, err := Prepare(h, "notes", "beta")
	if err != nil || again.Question != "" {
		t.Fatalf("%+v, %v", again, err)
	}
	before := len(h.Log())
	if _, err := again.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"push", "beta applies"}, h.Log()[before:]); diff != "" {
		t.Errorf("run again it asked (-want +got):\n%s", diff)
	}
}

// TestAMoveThatWasCutShort after its commit releases, claims and starts.
func TestAMoveThatWasCutShort(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.lock.Stacks["notes"] = fleet.Placement{Host: "beta", Epoch: 2}
	p, err := Prepare(h, "notes", "beta")
	if err != nil || p.Question != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"push", "alpha releases notes at 1", "claim notes for beta at 2", "alpha releases notes at 1", "beta applies"}, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestTheWayBack: the host that a stack left still has its data, where the other one
// can't start it.
func TestTheWayBack(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.Outcome = func(host string, st agentapi.Stack) *agentapi.Error {
		if host == "beta" {
			return &agentapi.Error{Text: "no such device"}
		}
		return nil
	}
	p, err := Prepare(h, "notes", "beta")
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context(), nil)
	if failed := r.Err(); err != nil || failed == nil || !strings.Contains(failed.Error(), "beta: notes: no such device") {
		t.Errorf("%v, %v", err, failed)
	}
	if pending := strings.Join(r.Pending, "\n"); !strings.Contains(pending, "you can go back with: salvor move notes --to alpha") {
		t.Errorf("pending:\n%s", pending)
	}
}

// TestWhatIsRefused: before anything is stopped.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stack, to  string
		change     func(*house)
		text, hint string
	}{
		"placed nowhere": {"blog", "beta", nil, "stack blog is not placed anywhere", "salvor apply"},
		"no such host":   {"notes", "gamma", nil, "host gamma is not declared", "salvor host add gamma"},
		"does not load":  {"notes", "beta", func(h *house) { h.broken = errors.New("line 3") }, "line 3", ""},
		"away":           {"notes", "beta", func(h *house) { h.Alive["alpha"] = false }, "not every host could be reached", "salvor recover alpha --to HOST"},
		"in the way": {"notes", "beta", func(h *house) {
			h.States = map[string]agentapi.HostState{"beta": {Findings: []finding.Finding{{Code: finding.VolumeKept, Severity: finding.Fatal, Subject: "beta/notes", Text: "data is there", Fix: "look at it"}}}}
		}, "data is there", "look at it"},
		"does not fit": {"notes", "beta", func(h *house) {
			h.Stacks = map[string]project.Rendered{"notes": {Containers: []project.Container{{Name: "db", Service: "db"}}}}
			h.States = map[string]agentapi.HostState{"beta": {Report: &agentapi.Report{Engine: &agentapi.Engine{Containers: []agentapi.HostContainer{{Name: "db", Project: "shop"}}}}}}
		}, "beta/notes: the container name db is taken there by container db of project shop [does-not-fit]", "remove container_name: db, or choose another host: salvor move notes --to HOST"},
		"not next to another": {"notes", "beta", func(h *house) {
			h.fleet.Stacks, h.lock.Stacks["shop"] = append(h.fleet.Stacks, fleet.Stack{Name: "shop", Host: "beta"}), fleet.Placement{Host: "beta", Epoch: 3}
			takes := project.Rendered{Asks: map[string]project.Asks{"db": {}}, Containers: []project.Container{{Name: "db", Service: "db"}}}
			h.Stacks = map[string]project.Rendered{"notes": takes, "shop": takes}
			h.States = map[string]agentapi.HostState{"beta": {Stacks: []agentapi.StackState{{Name: "shop", Epoch: 3, Hash: "h", Wanted: true}}, Report: &agentapi.Report{}}}
		}, "the container name db is taken there by db of stack shop", "remove container_name: db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			if c.change != nil {
				c.change(h)
			}
			p, err := Prepare(h, c.stack, c.to)
			if err == nil {
				_, err = p.Run(t.Context(), nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "releases") || strings.Contains(log, "commit") {
				t.Errorf("asked:\n%s", log)
			}
		})
	}
}

// TestAMoveDoesNotNeedCloudflare: it has gone well, and the hostname is left.
func TestAMoveDoesNotNeedCloudflare(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.Routes = &agentapi.RoutesReceipt{Pending: []string{"notes.example.com"}, Why: "Cloudflare does not answer"}
	p, err := Prepare(h, "notes", "beta")
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context(), nil)
	if left := strings.Join(r.Pending, "\n"); err != nil || r.Err() != nil || !strings.Contains(left, "not live yet: notes.example.com: Cloudflare does not answer; beta goes on trying") {
		t.Errorf("%v, %v, pending:\n%s", err, r.Err(), left)
	}
}
