package startup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/docker"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// TestDeliveredNames: the journal names what was written, as `salvor secret ls` does.
func TestDeliveredNames(t *testing.T) {
	t.Parallel()
	st := agentapi.Stack{Name: "notes", Project: project.Project{
		Secrets: []project.SecretMount{{Service: "web", Secret: "TOKEN"}, {Service: "db", Secret: "PASSWORD"}, {Service: "job", Secret: "PASSWORD"}, {Service: "web", Secret: "secrets/shared.pem"}},
		Env:     []string{"PASSWORD", "SMTP"},
	}}
	for name, c := range map[string]struct {
		report delivery.Report
		want   []string
	}{
		"nothing":      {delivery.Report{}, nil},
		"one service":  {delivery.Report{Services: []string{"web"}}, []string{"notes/TOKEN", "shared.pem"}},
		"one, twice":   {delivery.Report{Services: []string{"db", "job"}}, []string{"notes/PASSWORD"}},
		"the env file": {delivery.Report{Env: true}, []string{"notes/PASSWORD", "notes/SMTP"}},
		"all":          {delivery.Report{Services: []string{"db", "web"}, Env: true}, []string{"notes/PASSWORD", "notes/SMTP", "notes/TOKEN", "shared.pem"}},
	} {
		if got := delivered(st, c.report); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestAForeignProject: containers of the stack's name that Salvor did not start are not
// replaced, unless it is known from the stack's data or by the operator that they are its.
func TestAForeignProject(t *testing.T) {
	t.Parallel()
	runs := stack.State{Containers: []docker.Container{{Name: "notes-web-1", State: "running"}}}
	for name, c := range map[string]struct {
		consent project.Consent
		seen    stack.State
		local   here.Local
		decided map[string]snapshot.Decision
		foreign bool
	}{
		"it runs":               {seen: runs, foreign: true},
		"paused":                {seen: stack.State{Containers: []docker.Container{{State: "paused"}}}, foreign: true},
		"exited":                {seen: stack.State{Containers: []docker.Container{{State: "exited"}}}},
		"nothing is there":      {},
		"it ran here":           {seen: runs, local: here.Local{Epoch: 1}},
		"it was deployed here":  {seen: stack.State{Deployed: true, Containers: runs.Containers}},
		"the operator knows it": {seen: runs, consent: project.ConsentTake},
		"its data is ready":     {seen: runs, decided: map[string]snapshot.Decision{"db": {Action: snapshot.Ready}}},
		"its data is accepted":  {seen: runs, decided: map[string]snapshot.Decision{"db": {Action: snapshot.Accept}}},
		"its data is new":       {seen: runs, decided: map[string]snapshot.Decision{"db": {Action: snapshot.StartEmpty}}, foreign: true},
	} {
		why := foreignProject(agentapi.Stack{Name: "notes", Consent: c.consent}, c.seen, c.local, c.decided)
		if (why != "") != c.foreign || c.foreign && !strings.Contains(why, "Salvor did not start it") {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func TestAPathWithinAnother(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{"/srv/db": true, "/srv/db/": true, "/srv/db/sub": true, "/srv/db2": false, "/srv": false, "/srv/db/../other": false} {
		if got := within(path, "/srv/db"); got != want {
			t.Errorf("%s is within /srv/db: %v", path, got)
		}
	}
}

// TestRefusals: the first refused volume is the error, in the order of the files.
func TestRefusals(t *testing.T) {
	t.Parallel()
	st := agentapi.Stack{Name: "notes", Volumes: []project.Volume{{Name: "db"}, {Name: "media"}, {Name: "cache"}}}
	decided := map[string]snapshot.Decision{"db": {Action: snapshot.Ready}, "cache": {Action: snapshot.Refuse, Reason: "later", Hint: "later"}, "media": {Action: snapshot.Refuse, Reason: "it is occupied", Hint: "look at it"}}
	if err := refusal(st, decided); err == nil || err.Error() != "stack notes is not started: volume media: it is occupied" || fault.Hint(err) != "look at it" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if err := refusal(st, map[string]snapshot.Decision{"db": {Action: snapshot.Hydrate}}); err != nil {
		t.Error(err)
	}
}

// TestHints: a restore that failed says what the operator can do about it.
func TestHints(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"make room, then salvor apply": fmt.Errorf("fetch: %w", snapshot.ErrNoRoom),
		"salvor snapshot ls notes lists the others; salvor restore notes --snapshot ID restores one": fmt.Errorf("fetch: %w", snapshot.ErrDamaged),
		"": errors.New("no answer"),
	} {
		if got := hinted("notes", err); fault.Hint(got) != want || !errors.Is(got, err) {
			t.Errorf("%v: %q", got, fault.Hint(got))
		}
	}
	if hinted("notes", nil) != nil {
		t.Error("what went well has an error")
	}
}

// TestPinned: what the data was written by is what runs on it; the lock is not changed.
func TestPinned(t *testing.T) {
	t.Parallel()
	lock := map[string]string{"db": "db:2", "web": "web:2"}
	got := pinned(lock, map[string]string{"db": "db:1", "old": "old:1"})
	if got["db"] != "db:1" || got["web"] != "web:2" || got["old"] != "old:1" || lock["db"] != "db:2" || len(lock) != 2 {
		t.Errorf("%v of %v", got, lock)
	}
	if got := pinned(nil, nil); got == nil || len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestWhatIsNotPlacedHereIsStopped: its data stays, and the receipt says so.
func TestWhatIsNotPlacedHereIsStopped(t *testing.T) {
	t.Parallel()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	g.Starts(t)
	for name, l := range map[string]here.Local{"moved": {Epoch: 4}, "gone": {Epoch: 2, Lost: true}} {
		if err := g.SaveLocal(name, l); err != nil {
			t.Fatal(err)
		}
		g.Engine.Set(name, name == "moved")
	}
	r := New(keeper.New(g.Host), g.Spec, progress.Discard())
	if err := r.dropOthers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := r.Receipt.Stacks; len(s) != 1 || s[0].Name != "moved" || s[0].Outcome != "stopped" {
		t.Errorf("%+v", s)
	}
	if g.Engine.Running("moved") || !g.Local("moved").Lost || !g.Engine.Running(heretest.Notes) || g.Local(heretest.Notes).Lost {
		t.Errorf("moved runs: %v, %+v; notes runs: %v", g.Engine.Running("moved"), g.Local("moved"), g.Engine.Running(heretest.Notes))
	}
}
