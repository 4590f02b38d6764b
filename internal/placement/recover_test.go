package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

func TestRecover(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"blog":  {Host: "alpha", Epoch: 3, Images: map[string]string{"web": "nginx@sha256:1"}},
		"notes": {Host: "beta", Epoch: 1},
		"wiki":  {Host: "alpha", Epoch: 1, Stopped: true},
	}}
	next, moves := Recover(was, Takeover{Lost: "alpha", To: "gamma"})
	want := map[string]fleet.Placement{
		"blog":  {Host: "gamma", Epoch: 4, Images: map[string]string{"web": "nginx@sha256:1"}},
		"notes": {Host: "beta", Epoch: 1},
		"wiki":  {Host: "gamma", Epoch: 2, Stopped: true},
	}
	if diff := cmp.Diff(want, next.Stacks); diff != "" {
		t.Error(diff)
	}
	wantMoves := []Move{{Stack: "blog", From: "alpha", To: "gamma", Epoch: 4}, {Stack: "wiki", From: "alpha", To: "gamma", Epoch: 2}}
	if diff := cmp.Diff(wantMoves, moves); diff != "" {
		t.Error(diff)
	}
	if was.Stacks["blog"].Host != "alpha" {
		t.Error("the lock given was changed")
	}
	if _, again := Recover(next, Takeover{Lost: "alpha", To: "gamma"}); len(again) != 0 {
		t.Errorf("a recovery that is done moves %v", again)
	}
}

// TestS19ACompromisedHostKnowsNoRepositoryAnyMore: what was a stack's repository is a
// former one, to be restored from; the next seal gives it a new one.
func TestS19ACompromisedHostKnowsNoRepositoryAnyMore(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"notes": {Host: "alpha", Epoch: 1, Repositories: map[string]string{"nas": "b"}, Former: map[string][]string{"nas": {"a"}}, Proven: map[string]fleet.Proven{"b": {Epoch: 1, Seq: 2}}},
	}}
	next, _ := Recover(was, Takeover{Lost: "alpha", To: "gamma", Compromised: true})
	want := fleet.Placement{Host: "gamma", Epoch: 2, Former: map[string][]string{"nas": {"a", "b"}}, Proven: map[string]fleet.Proven{"b": {Epoch: 1, Seq: 2}}}
	if diff := cmp.Diff(want, next.Stacks["notes"]); diff != "" {
		t.Error(diff)
	}
	if _, again := Recover(next, Takeover{Lost: "alpha", To: "gamma", Compromised: true}); len(again) != 0 {
		t.Errorf("run again it moves %v", again)
	}
}

// TestRecoverUnderTheSameName is fault D2: a machine replaces the lost one under its
// name, which is a takeover, once.
func TestRecoverUnderTheSameName(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "web", Epoch: 1}}}
	next, moves := Recover(was, Takeover{Lost: "web", To: "web", Replaced: true})
	if got := next.Stacks["notes"]; got.Host != "web" || got.Epoch != 2 || len(moves) != 1 {
		t.Errorf("%+v, %v", got, moves)
	}
	if same, again := Recover(next, Takeover{Lost: "web", To: "web"}); len(again) != 0 || same.Stacks["notes"].Epoch != 2 {
		t.Errorf("run again it moves %v", again)
	}
}

func TestOutdateOwn(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Hosts: map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 3}, "beta": {Host: "beta", Epoch: 1}}}
	next := OutdateOwn(was, "alpha")
	if next.Hosts["alpha"].Epoch != 4 || next.Hosts["beta"].Epoch != 1 || was.Hosts["alpha"].Epoch != 3 {
		t.Errorf("%+v, was %+v", next.Hosts, was.Hosts)
	}
	if next := OutdateOwn(was, "gamma"); len(next.Hosts) != 2 {
		t.Errorf("a host that has nothing of its own: %+v", next.Hosts)
	}
}
