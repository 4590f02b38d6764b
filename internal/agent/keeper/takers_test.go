package keeper

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// TestS14OneStackNeverStopsTheSnapshotsOfTheOthers: some that never end, as many as
// are taken at once and more, are followed by all others, and are not begun again.
func TestS14OneStackNeverStopsTheSnapshotsOfTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		takers, begun := NewTakers(TakerTurn, nil), map[string]int{}
		done := make(chan string, 10)
		for _, stack := range []string{"huge1", "huge2", "huge3", "notes", "huge1", "shop"} {
			takers.start(ctx, stack, func() {
				done <- stack
				if stack[:4] == "huge" {
					<-ctx.Done()
				}
			})
		}
		began := time.Now()
		for range 5 {
			begun[<-done]++
		}
		if took := time.Since(began); took > 2*TakerTurn {
			t.Errorf("the others waited for %s", took)
		}
		for _, stack := range []string{"huge1", "huge2", "huge3", "notes", "shop"} {
			if begun[stack] != 1 {
				t.Errorf("%s was begun %d times", stack, begun[stack])
			}
		}
		synctest.Wait()
		takers.start(ctx, "notes", func() { done <- "again" })
		if <-done != "again" {
			t.Error("one that has ended is not taken again")
		}
		cancel()
		takers.Wait()
	})
}

// TestS14FewAreTakenAtOnce: while none lasts long, not more than a few are under way.
func TestS14FewAreTakenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		takers := NewTakers(TakerTurn, nil)
		under := make(chan struct{}, takenAtOnce)
		for _, stack := range []string{"a", "b", "c", "d", "e"} {
			takers.start(t.Context(), stack, func() {
				select {
				case under <- struct{}{}:
				default:
					t.Error("too many at once")
				}
				<-time.After(time.Minute) // by the clock of the bubble
				<-under
			})
		}
		takers.Wait()
	})
}

// TestWhatIsNoLongerDueIsNotTaken: while a stack waited for its turn, an operator took its
// snapshot, or the stack was placed elsewhere.
func TestWhatIsNoLongerDueIsNotTaken(t *testing.T) {
	t.Parallel()
	h := &here.Host{Paths: hostpath.Layout{Config: t.TempDir(), State: t.TempDir(), Run: t.TempDir()}}
	k, tried := New(h), time.Now().UTC()
	st := agentapi.Stack{
		Name: "notes", Epoch: 1, Targets: []agentapi.Target{{Name: "offsite", Every: time.Hour}},
		Volumes: []project.Volume{{Name: "data", Path: "/data", Protect: fleet.Snapshot}},
	}
	err := errors.Join(h.SaveSpec(agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}}), h.SaveLocal("notes", here.Local{Epoch: 1}),
		k.ChangeCondition("notes", "offsite", func(c *OnTarget) { c.Tried = tried }))
	if err != nil {
		t.Fatal(err)
	}
	for _, stack := range []string{"notes", "moved"} {
		if err := k.takeOne(t.Context(), ownership.New(h, time.Second), NewTakers(TakerTurn, here.KeepOpen(h)), stack, progress.Discard()); err != nil {
			t.Errorf("%s: %v", stack, err)
		}
	}
	if c := k.Condition("notes").On("offsite"); !c.Tried.Equal(tried) {
		t.Errorf("it was tried: %+v", c)
	}
}
