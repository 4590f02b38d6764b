package recovery

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/placement"
)

func TestPrepare(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"blog":  {Host: "alpha", Epoch: 3, Images: map[string]string{"web": "nginx@sha256:1"}},
		"notes": {Host: "beta", Epoch: 1},
		"wiki":  {Host: "alpha", Epoch: 1, Stopped: true},
	}}
	p := Prepare(was, Options{Lost: "alpha", To: "gamma"})
	want := map[string]fleet.Placement{
		"blog":  {Host: "gamma", Epoch: 4, Images: map[string]string{"web": "nginx@sha256:1"}},
		"notes": {Host: "beta", Epoch: 1},
		"wiki":  {Host: "gamma", Epoch: 2, Stopped: true},
	}
	if diff := cmp.Diff(want, p.Next.Stacks); diff != "" {
		t.Error(diff)
	}
	moves := []placement.Move{{Stack: "blog", From: "alpha", To: "gamma", Epoch: 4}, {Stack: "wiki", From: "alpha", To: "gamma", Epoch: 2}}
	if diff := cmp.Diff(moves, p.Moves); diff != "" {
		t.Error(diff)
	}
	if was.Stacks["blog"].Host != "alpha" {
		t.Error("the lock given was changed")
	}
	if again := Prepare(p.Next, Options{Lost: "alpha", To: "gamma"}); len(again.Moves) != 0 {
		t.Errorf("a recovery that is done moves %v", again.Moves)
	}
}

// TestS19ACompromisedHostKnowsNoRepositoryAnyMore: what was a stack's repository is a
// former one, to be restored from; the next seal gives it a new one.
func TestS19ACompromisedHostKnowsNoRepositoryAnyMore(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"notes": {Host: "alpha", Epoch: 1, Repositories: map[string]string{"nas": "b"}, Former: map[string][]string{"nas": {"a"}}, Proven: map[string]fleet.Proven{"b": {Epoch: 1, Seq: 2}}},
	}}
	p := Prepare(was, Options{Lost: "alpha", To: "gamma", Compromised: true})
	want := fleet.Placement{Host: "gamma", Epoch: 2, Former: map[string][]string{"nas": {"a", "b"}}, Proven: map[string]fleet.Proven{"b": {Epoch: 1, Seq: 2}}}
	if diff := cmp.Diff(want, p.Next.Stacks["notes"]); diff != "" {
		t.Error(diff)
	}
	if again := Prepare(p.Next, Options{Lost: "alpha", To: "gamma", Compromised: true}); len(again.Moves) != 0 {
		t.Errorf("run again it moves %v", again.Moves)
	}
}

// TestPrepareUnderTheSameName is fault D2: a machine replaces the lost one under its
// name, which is a takeover, once.
func TestPrepareUnderTheSameName(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "web", Epoch: 1}}}
	p := Prepare(was, Options{Lost: "web", To: "web", Replaced: true})
	if got := p.Next.Stacks["notes"]; got.Host != "web" || got.Epoch != 2 || len(p.Moves) != 1 {
		t.Errorf("%+v, %v", got, p.Moves)
	}
	if again := Prepare(p.Next, Options{Lost: "web", To: "web"}); len(again.Moves) != 0 || again.Next.Stacks["notes"].Epoch != 2 {
		t.Errorf("run again it moves %v", again.Moves)
	}
}
