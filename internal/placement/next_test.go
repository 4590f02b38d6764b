package placement

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
)

func twoStacks() *fleet.Fleet {
	return &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "delta"}, {Name: "gamma"}},
		Stacks: []fleet.Stack{{Name: "blog", Host: "beta"}, {Name: "notes", Host: "alpha"}}}
}

// TestStacksWithoutAHost is fault D10: init's own example, which names no host, was
// placed on the host "", and the first apply of every fleet failed.
func TestStacksWithoutAHost(t *testing.T) {
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 7}}}
	f := twoStacks()
	f.Stacks = []fleet.Stack{{Name: "hello"}, {Name: "notes"}}
	next, moves := Next(f, was, nil)
	if diff := cmp.Diff(was, next); diff != "" || len(moves) > 0 {
		t.Errorf("moves %v, placements (-want +got)\n%s", moves, diff)
	}
}

func TestNext(t *testing.T) {
	born := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"blog":  {Host: "alpha", Epoch: 3, Repositories: map[string]string{"offsite": "aa"}, Former: map[string][]string{"offsite": {"00"}}, Volumes: map[string]fleet.VolumeState{"db": {Born: born}}},
		"gone":  {Host: "delta", Epoch: 1},
		"notes": {Host: "alpha", Epoch: 7, Stopped: true},
	}}
	f := twoStacks()
	f.Stacks = append(f.Stacks, fleet.Stack{Name: "wiki", Host: "beta"}, fleet.Stack{Name: "again", Host: "beta"})
	next, moves := Next(f, was, map[string]int{"again": 5})
	want := map[string]fleet.Placement{
		"blog":  {Host: "beta", Epoch: 4, Repositories: map[string]string{"offsite": "aa"}, Former: map[string][]string{"offsite": {"00"}}, Volumes: map[string]fleet.VolumeState{"db": {Born: born}}},
		"notes": {Host: "alpha", Epoch: 7, Stopped: true},
		"wiki":  {Host: "beta", Epoch: 1},
		"again": {Host: "beta", Epoch: 6},
	}
	if diff := cmp.Diff(want, next.Stacks); diff != "" {
		t.Error(diff)
	}
	wantMoves := []Move{
		{Stack: "again", To: "beta", Epoch: 6}, {Stack: "blog", From: "alpha", To: "beta", Epoch: 4},
		{Stack: "gone", From: "delta", Epoch: 2}, {Stack: "wiki", To: "beta", Epoch: 1},
	}
	if diff := cmp.Diff(wantMoves, moves); diff != "" {
		t.Error(diff)
	}
	next.Stacks["blog"].Repositories["offsite"] = "bb"
	delete(next.Stacks["blog"].Former, "offsite")
	if was.Stacks["blog"].Repositories["offsite"] != "aa" || was.Stacks["blog"].Former["offsite"] == nil {
		t.Error("the lock given was changed")
	}
}

// What was wished at one placement is void at the next, and does not stay in the lock
// forever.
func TestAMoveEndsAWish(t *testing.T) {
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 2, Restore: &fleet.Restore{ID: "one", Epoch: 2, Snapshot: "aaaa"}}}}
	stays, _ := Next(&fleet.Fleet{Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}}}, lock, nil)
	moves, _ := Next(&fleet.Fleet{Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}}}, lock, nil)
	if stays.Stacks["notes"].Restore == nil || moves.Stacks["notes"].Restore != nil {
		t.Errorf("stays: %v, moves: %v", stays.Stacks["notes"].Restore, moves.Stacks["notes"].Restore)
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 2}}}
	if p, err := Of(lock, "notes"); err != nil || p.Host != "alpha" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Of(lock, "blog"); err == nil || !strings.Contains(err.Error(), "stack blog is not placed anywhere") || fault.Hint(err) != "salvor apply" {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

func TestMoveTo(t *testing.T) {
	t.Parallel()
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{
		"blog":  {Host: "alpha", Epoch: 1},
		"notes": {Host: "alpha", Epoch: 2, Stopped: true, Repositories: map[string]string{"nas": "a"}, Restore: &fleet.Restore{ID: "one", Epoch: 2}},
	}}
	next, m := MoveTo(lock, "notes", "beta")
	if diff := cmp.Diff(Move{Stack: "notes", From: "alpha", To: "beta", Epoch: 3}, m); diff != "" {
		t.Error(diff)
	}
	want := map[string]fleet.Placement{
		"blog":  {Host: "alpha", Epoch: 1},
		"notes": {Host: "beta", Epoch: 3, Stopped: true, Repositories: map[string]string{"nas": "a"}},
	}
	if diff := cmp.Diff(want, next.Stacks); diff != "" {
		t.Error(diff)
	}
	next.Stacks["notes"].Repositories["nas"] = "b"
	if was := lock.Stacks["notes"]; was.Host != "alpha" || was.Restore == nil || was.Repositories["nas"] != "a" {
		t.Errorf("the lock given was changed: %+v", was)
	}
}

// TestImagesOfAHostThatPublishesNoMoreLeaveTheLock, and its place stays.
func TestImagesOfAHostThatPublishesNoMoreLeaveTheLock(t *testing.T) {
	f := &fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Publishes: true}},
		Ingress: fleet.Ingress{Provider: fleet.IngressCloudflare, Account: "a", Token: secret.ParseSetting("secret:t")}}
	images := map[string]string{fleet.ConnectorProject: "c@sha256:a"}
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2}}, Hosts: map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 1, Images: images}}}
	want := map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 1}, "beta": {Host: "beta", Epoch: 1}}
	if diff := cmp.Diff(want, Owns(f, lock).Hosts); diff != "" || lock.Hosts["alpha"].Images == nil {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
