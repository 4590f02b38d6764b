package startup

import (
	"context"
	"errors"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// TestABootStartsNoDataOfAnEarlierPlacement: the stack was on another host since, and is
// placed here again. What is here is not its newest data; the apply that was interrupted
// before it reached this host brings that.
func TestABootStartsNoDataOfAnEarlierPlacement(t *testing.T) {
	t.Parallel()
	g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", 1)
	if err := g.SaveLocal(heretest.Notes, here.Local{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // whatever it begins with ends at once
	boot := func(epoch int) string {
		own := record.Verdict{State: record.Own, MayStart: true, MayChange: true, Epoch: epoch}
		return New(keeper.New(g.Host), g.Spec, progress.Discard()).On(g.At(g.Spec, g.Spec.Stacks[0])).StartAfterBoot(ctx, own).Outcome
	}
	if got := boot(1); got == "stopped" {
		t.Error("the placement that ran here is not started")
	}
	if got := boot(3); got != "stopped" {
		t.Errorf("at a later placement it is %s", got)
	}
}

// TestAnAttemptOfAnEarlierPlacementIsForgotten: an upgrade was under way when the stack was
// given to another host, and it is placed here again. The snapshot from before the upgrade
// may be gone by then, so the way back would never end.
func TestAnAttemptOfAnEarlierPlacementIsForgotten(t *testing.T) {
	t.Parallel()
	for epoch, forgotten := range map[int]bool{1: false, 3: true} {
		g := heretest.NewGuarded(t, "alpha", t.TempDir(), "", epoch)
		s := New(keeper.New(g.Host), g.Spec, progress.Discard()).On(g.At(g.Spec, g.Spec.Stacks[0]))
		trying := here.Attempt{State: here.AttemptTrying, Target: target(s.Stack.Stack), Before: "5nap"}
		if err := errors.Join(g.SaveLocal(heretest.Notes, here.Local{Epoch: 1}), g.At(g.Spec, agentapi.Stack{Name: heretest.Notes, Epoch: 1}).SaveAttempt(trying)); err != nil {
			t.Fatal(err)
		}
		if err := finishAttempt(t.Context(), s, s.Deployment()); err != nil {
			t.Fatal(err)
		}
		if got := !s.Attempt().InProgress(); got != forgotten {
			t.Errorf("at epoch %d: forgotten %v", epoch, got)
		}
	}
}

// TestTheVersionBeforeOfAStackThatMovedIsNotStarted: an apply and a move ran at one time. The
// move had released the stack when the apply began to replace its image, and failed to.
func TestTheVersionBeforeOfAStackThatMovedIsNotStarted(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	g := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: g.Recipient()})
	s := New(keeper.New(g.Host), g.Spec, progress.Discard()).On(g.At(g.Spec, g.Spec.Stacks[0]))
	defer s.Run.Guard.Close(t.Context())
	if v := s.Run.Guard.Verdict(t.Context(), s.Stack); v.State != record.Own {
		t.Fatalf("%+v", v)
	}
	if err := g.SaveLocal(heretest.Notes, here.Local{Epoch: 1, Released: 1}); err != nil {
		t.Fatal(err)
	}
	heretest.Claim(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	if err := startVersionBefore(t.Context(), s); err == nil || !strings.Contains(err.Error(), "beta claimed epoch 2") {
		t.Errorf("%v", err)
	}
	for _, c := range g.Machine.(*machinetest.Fake).Calls() {
		if c.Argv[0] == "docker" {
			t.Errorf("it ran %v", c.Argv)
		}
	}
}
