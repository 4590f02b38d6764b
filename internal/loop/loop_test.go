package loop

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// rounds runs one loop for a while, and returns when its rounds began, counted from
// the start.
func rounds(t *testing.T, s *Set, l Loop, lasts time.Duration, results ...error) []time.Duration {
	t.Helper()
	began := time.Now()
	var at []time.Duration
	l.Run = func(context.Context) error {
		at = append(at, time.Since(began))
		if n := len(at); n <= len(results) {
			return results[n-1]
		}
		return nil
	}
	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	s.Start(ctx, l)
	s.Wait()
	return at
}

func TestALoopKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		got := rounds(t, &s, Loop{Name: "look", Every: time.Minute}, 200*time.Second)
		if want := []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}; !slices.Equal(got, want) {
			t.Errorf("rounds at %v, want %v", got, want)
		}
	})
}

func TestAPauseEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		news := make(chan struct{})
		time.AfterFunc(90*time.Second, func() { close(news) })
		asked := 0
		got := rounds(t, &s, Loop{Name: "look", Every: time.Minute, Early: func() <-chan struct{} {
			if asked++; asked == 2 {
				return news
			}
			return nil
		}}, 3*time.Minute)
		if want := []time.Duration{time.Minute, 90 * time.Second, 150 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("rounds at %v, want %v", got, want)
		}
	})
}

func TestJitterSpreadsRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		got := rounds(t, &s, Loop{Name: "look", Every: time.Minute, Jitter: 10 * time.Second}, time.Hour)
		last, spread := time.Duration(0), map[time.Duration]bool{}
		for _, at := range got {
			if pause := at - last; pause < time.Minute || pause >= 70*time.Second {
				t.Errorf("a pause of %s", pause)
			}
			spread[at-last] = true
			last = at
		}
		if len(spread) < 10 {
			t.Errorf("%d different pauses of %d", len(spread), len(got))
		}
	})
}

func TestJitterIsTheSeeds(t *testing.T) {
	at := map[uint64][]time.Duration{}
	for _, seed := range []uint64{1, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			s := Set{Seed: seed}
			got := rounds(t, &s, Loop{Name: "look", Every: time.Minute, Jitter: 10 * time.Second}, time.Hour)
			if before := at[seed]; before != nil && !slices.Equal(before, got) {
				t.Errorf("seed %d: %v, then %v", seed, before, got)
			}
			at[seed] = got
		})
	}
	if slices.Equal(at[1], at[2]) {
		t.Error("two seeds have the same pauses")
	}
}

func TestFailuresMakePausesLonger(t *testing.T) {
	down := errors.New("the remote is away")
	synctest.Test(t, func(t *testing.T) {
		var reported []string
		s := Set{Failed: func(name string, err error) { reported = append(reported, name+": "+err.Error()) }}
		l := Loop{Name: "look", Every: time.Minute, Most: 3 * time.Minute}
		got := rounds(t, &s, l, 11*time.Minute+time.Second, down, down, down, nil, down)
		minutes := []time.Duration{1, 2, 4, 7, 8, 9, 10, 11}
		for i := range minutes {
			minutes[i] *= time.Minute
		}
		if !slices.Equal(got, minutes) {
			t.Errorf("rounds at %v, want %v", got, minutes)
		}
		if want := []string{"look: the remote is away", "look: the remote is away"}; !slices.Equal(reported, want) {
			t.Errorf("reported %q: once an outage", reported)
		}
	})
}

func TestTheStateCanBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Set
		ctx, stop := context.WithCancel(t.Context())
		release := make(chan error)
		s.Start(ctx, Loop{Name: "b", Every: time.Minute, Run: func(context.Context) error { return <-release }},
			Loop{Name: "a", Every: time.Hour, Run: func(context.Context) error { return nil }})
		if all := s.States(); len(all) != 2 || all[0].Name != "a" || all[0] != (State{Name: "a"}) {
			t.Errorf("before the first round: %+v", all)
		}
		<-time.After(time.Minute) // of the bubble's clock
		synctest.Wait()
		began := time.Now()
		if b := s.States()[1]; !b.Running || !b.Began.Equal(began) || b.Rounds != 0 {
			t.Errorf("while it runs: %+v", b)
		}
		failed := errors.New("no")
		release <- failed
		synctest.Wait()
		if b := s.States()[1]; b.Running || b.Rounds != 1 || b.Failures != 1 || !errors.Is(b.Err, failed) {
			t.Errorf("after a failure: %+v", b)
		}
		stop()
		s.Wait()
	})
}

func TestALoopEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := Set{Failed: func(string, error) { t.Error("the end of the context is not a failure") }}
		s.Start(ctx, Loop{Name: "long", Every: time.Second, Run: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}, Loop{Name: "waits", Wait: func(ctx context.Context) bool { <-ctx.Done(); return false }})
		<-time.After(time.Minute) // of the bubble's clock
		stop()
		s.Wait()
	})
}
