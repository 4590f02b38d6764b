package keeper

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestS14OneStackNeverStopsTheSnapshotsOfTheOthers: some that never end, as many as
// are taken at once and more, are followed by all others, and are not begun again.
func TestS14OneStackNeverStopsTheSnapshotsOfTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		takers, begun := NewTakers(TakerTurn), map[string]int{}
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
		takers := NewTakers(TakerTurn)
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
