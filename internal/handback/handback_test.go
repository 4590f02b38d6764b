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
	"salvor/internal/hostlink"
	"salvor/internal/progress"
	"salvor/internal/route"
)

// house has notes and shop on alpha, and wiki on beta.
type house struct {
	deploytest.World
	fleet   *fleet.Fleet
	lock    fleet.Lock
	broken  error
	waits   bool            // that commit is there, and not pushed
	killed  error           // what becomes of the commit that removes the host
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
	return exposed.Host{}, h.killed
}

func (h *house) RemovalWaits(context.Context, string) (bool, error) { return h.waits, nil }

const wholePlan = `notes  runs on in /srv/notes, no container is touched
shop  runs on in /opt/stacks/shop, its containers are made again once: app, db
  secrets in plain text: /opt/stacks/shop/.env
  its data stays in /var/lib/salvor/volumes/shop/data
Before that, a last snapshot is taken of each; all snapshots stay on the remotes.
Salvor is removed from alpha: salvord, its folders and keys, and restic if Salvor installed it.
Docker, its settings and all data stay. Last, alpha leaves the fleet.

`

// TestTheOrderOfARelease: the host runs its stacks plainly before anything is committed, and
// is left last.
func TestTheOrderOfARelease(t *testing.T) {
	t.Parallel()
	h := newHouse()
	p, err := Prepare(t.Context(), h, Options{Host: "alpha"})
	if err != nil || p.Name != "alpha" || p.Question != "This gives back alpha: everything runs on without Salvor, with its secrets in plain text in 1 file." {
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
	h.unplaced("shop")
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

// unplaced is a stack whose release was committed.
func (h *house) unplaced(stack string) {
	delete(h.lock.Stacks, stack)
	for i := range h.fleet.Stacks {
		if h.fleet.Stacks[i].Name == stack {
			h.fleet.Stacks[i].Host = ""
		}
	}
}

// TestARunThatWasInterruptedAtItsEnd: the host has no salvord any more, and is in the fleet
// still. The next run takes it out, and says nothing of what was done before.
func TestARunThatWasInterruptedAtItsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.killed = errors.New("killed")
	p, err := Prepare(t.Context(), h, Options{Host: "alpha"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); !errors.Is(err, h.killed) {
		t.Fatal(err)
	}
	before := len(h.Log())
	h.killed = nil
	h.unplaced("notes")
	h.unplaced("shop")
	if p, err = Prepare(t.Context(), h, Options{Host: "alpha"}); err != nil {
		t.Fatal(err)
	}
	const plan = "Salvor was removed from alpha already. Now alpha leaves the fleet.\n\n"
	if p.Plan != plan || p.Question != "This takes alpha out of the fleet." || p.Name != "alpha" {
		t.Errorf("plan %q, question %q, name %q", p.Plan, p.Question, p.Name)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || !r.LeftHost || len(r.Stacks)+len(r.Removed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if diff := cmp.Diff([]string{"push", "remove alpha"}, h.Log()[before:]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestARunThatWasInterruptedAtItsLastPush: the host is not in the fleet any more.
func TestARunThatWasInterruptedAtItsLastPush(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Hosts, h.waits = h.fleet.Hosts[1:], true
	p, err := Prepare(t.Context(), h, Options{Host: "alpha"})
	if err != nil || p.Plan != "alpha left the fleet already. Now the commit that says so is pushed.\n\n" || p.Name != "alpha" {
		t.Fatalf("%+v, %v", p, err)
	}
	if r, err := p.Run(t.Context(), nil); err != nil || !r.LeftHost || !cmp.Equal(h.Log(), []string{"push"}) {
		t.Errorf("%+v, %v, asked %v", r, err, h.Log())
	}
	if _, err := Prepare(t.Context(), h, Options{Host: "alpha", Stacks: []string{"shop"}}); err == nil {
		t.Error("a stack of a host that left")
	}
}

// TestAnOlderSalvordIsNoneThatIsGone: a host whose salvord speaks an older protocol has all
// of Salvor still.
func TestAnOlderSalvordIsNoneThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.unplaced("notes")
	h.unplaced("shop")
	h.Older = map[string]bool{"alpha": true}
	if p, err := Prepare(t.Context(), h, Options{Host: "alpha"}); !errors.Is(err, hostlink.ErrNoSalvord) {
		t.Errorf("proposes %q, %v", p.Plan, err)
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
		"it has routes": {nil, func(h *house) {
			h.fleet.Ingress.Routes = []fleet.HostRoute{{Host: "alpha", Declared: route.Declared{Hostname: "nas.example.com"}}}
		}, "alpha still has routes of its own: nas.example.com", "ingress.routes of fleet.yaml"},
		"away": {nil, func(h *house) { h.Alive["alpha"] = false }, "alpha: host unreachable", "salvor recover alpha --to HOST"},
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
