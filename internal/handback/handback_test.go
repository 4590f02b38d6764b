package handback

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
)

// house has notes and shop on alpha, and wiki on beta.
type house struct {
	deploytest.World
	fleet   *fleet.Fleet
	lock    fleet.Lock
	broken  error
	session *deploy.Session // the last that was opened
}

func newHouse() *house {
	h := &house{
		fleet: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}},
			Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}, {Name: "shop", Host: "alpha"}, {Name: "wiki", Host: "beta"}}},
		lock: fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}, "shop": {Host: "alpha", Epoch: 4}, "wiki": {Host: "beta", Epoch: 1}}},
	}
	h.Alive = map[string]bool{"alpha": true, "beta": true}
	h.Plain = []agentapi.PlainStack{
		{Name: "notes", Folder: "/srv/notes"},
		{Name: "shop", Folder: "/opt/stacks/shop", Recreates: []string{"app", "db"}, Secrets: []string{"/opt/stacks/shop/.env"}, Data: []string{"/var/lib/salvor/volumes/shop/data"}},
	}
	return h
}

func (h *house) Fleet() *fleet.Fleet { return h.fleet }
func (h *house) Lock() fleet.Lock    { return h.lock }
func (h *house) Broken(string) error { return h.broken }

func (h *house) Unplaced(stacks []string, host string) (map[string][]byte, error) {
	h.Note("take %v off %s", stacks, host)
	return map[string][]byte{"stacks": nil}, nil
}

func (h *house) Session(_ context.Context, sink progress.Sink) (*deploy.Session, error) {
	h.session = h.World.Session(h.fleet, h.lock)
	h.session.Sink = sink
	return h.session, nil
}

func (h *house) RemoveHost(_ context.Context, host string) (exposed.Host, error) {
	h.Note("remove %s", host)
	return exposed.Host{}, nil
}

const wholePlan = `notes  runs on in /srv/notes, no container is touched
shop  gets the folder /opt/stacks/shop, and its containers are made again: app, db
  secrets in plain text: /opt/stacks/shop/.env
  its data stays in /var/lib/salvor/volumes/shop/data
Before that, a last snapshot is taken of each; all snapshots stay on the remotes.
Then salvord and its folders are removed from alpha, and alpha from the fleet. Docker and all data stay.

`

// TestTheOrderOfARelease: the host runs its stacks plainly before anything is committed, and
// is left last.
func TestTheOrderOfARelease(t *testing.T) {
	t.Parallel()
	h := newHouse()
	p, err := Prepare(t.Context(), h, Options{Host: "alpha"})
	if err != nil || p.Name != "alpha" || p.Question != "This gives alpha back: its stacks run on without Salvor, with their secrets in plain text in 1 file." {
		t.Fatalf("%+v, %v", p, err)
	}
	if diff := cmp.Diff(wholePlan, p.Plan); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if log := h.Log(); !cmp.Equal(log, []string{"alpha plans to give back notes shop"}) {
		t.Errorf("before the question: %v", log)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || !r.LeftHost || len(r.Stacks) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	want := []string{
		"alpha plans to give back notes shop", "push", "alpha takes a snapshot of notes", "alpha takes a snapshot of shop", "alpha gives back notes shop",
		"take [notes shop] off alpha", "commit host release: notes, shop of alpha", "push", "claim notes for  at 2", "claim shop for  at 5", "alpha is left", "remove alpha",
	}
	if diff := cmp.Diff(want, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if left := h.session.Lock.Stacks; len(left) != 1 || left["wiki"].Host != "beta" {
		t.Errorf("the lock has %v", left)
	}
}

// TestARunThatWasInterrupted after its commit ends the placements that the host has by the
// claims.
func TestARunThatWasInterrupted(t *testing.T) {
	t.Parallel()
	h := newHouse()
	delete(h.lock.Stacks, "shop")
	h.fleet.Stacks[1].Host = ""
	h.Owners = map[string]deploy.Owner{"shop": {Host: "alpha", Epoch: 4}}
	h.Plain = h.Plain[:1]
	p, err := Prepare(t.Context(), h, Options{Host: "alpha", NoSnapshot: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	log := strings.Join(h.Log(), "\n")
	if !strings.Contains(log, "claim notes for  at 2\nclaim shop for  at 5\nalpha is left\nremove alpha") || strings.Contains(log, "snapshot") {
		t.Errorf("asked:\n%s", log)
	}
}

// TestSomeStacks leaves the host in the fleet.
func TestSomeStacks(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.Plain = h.Plain[:1]
	p, err := Prepare(t.Context(), h, Options{Host: "alpha", Stacks: []string{"notes"}})
	if err != nil || strings.Contains(p.Plan, "salvord") {
		t.Fatalf("%+v, %v", p, err)
	}
	if r, err := p.Run(t.Context(), nil); err != nil || r.LeftHost {
		t.Errorf("%+v, %v", r, err)
	}
	if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "left") || strings.Contains(log, "remove") || h.session.Lock.Stacks["shop"].Host != "alpha" {
		t.Errorf("asked:\n%s", log)
	}
}

// TestWhatIsRefused: before anything is written.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stacks     []string
		change     func(*house)
		text, hint string
	}{
		"on another host": {[]string{"wiki"}, nil, "stack wiki is on beta, not on alpha", "salvor host release beta wiki"},
		"no host":         {nil, func(h *house) { h.fleet.Hosts = h.fleet.Hosts[1:] }, "host alpha is not declared", "salvor host ls"},
		"does not load":   {nil, func(h *house) { h.broken = errors.New("line 3") }, "line 3", ""},
		"needed":          {[]string{"notes"}, func(h *house) { h.fleet.Stacks[1].Needs = []string{"notes"} }, "stack shop needs notes, and stays", "salvor host release alpha notes shop"},
		"away":            {nil, func(h *house) { h.Alive["alpha"] = false }, "alpha: host unreachable", "salvor recover alpha --to HOST"},
		"no snapshot": {nil, func(h *house) { h.Refuse = map[string]error{agentapi.VerbSnapshot: errors.New("disk full")} },
			"no last snapshot of notes: alpha: disk full", "--no-snapshot"},
		"in the way": {nil, func(h *house) {
			h.Refuse = map[string]error{agentapi.VerbHandBackPlan: errors.New("/opt/stacks/shop is there already")}
		}, "/opt/stacks/shop is there already", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			if c.change != nil {
				c.change(h)
			}
			p, err := Prepare(t.Context(), h, Options{Host: "alpha", Stacks: c.stacks})
			if err == nil {
				_, err = p.Run(t.Context(), nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "gives back") || strings.Contains(log, "commit") {
				t.Errorf("asked:\n%s", log)
			}
		})
	}
}
