package recovery

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
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
	moves := []deploy.Move{{Stack: "blog", From: "alpha", To: "gamma", Epoch: 4}, {Stack: "wiki", From: "alpha", To: "gamma", Epoch: 2}}
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
