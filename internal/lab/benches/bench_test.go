package benches

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCompareTakesTurnsAndKeepsTheBest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order strings.Builder
		contender := func(name string, takes ...time.Duration) func(context.Context) error {
			return func(context.Context) error {
				order.WriteString(name)
				<-time.After(takes[0])
				takes = takes[1:]
				return nil
			}
		}
		pair, err := Compare(t.Context(), 3, contender("A", 5*time.Second, 2*time.Second, 3*time.Second), contender("B", 9*time.Second, 8*time.Second, 4*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if order.String() != "ABBAAB" {
			t.Errorf("order %s, want ABBAAB", order.String())
		}
		if pair.Ours != 2*time.Second || pair.Baseline != 4*time.Second || pair.Ratio() != 0.5 {
			t.Errorf("got %+v, want 2s against 4s", pair)
		}
	})
}

func TestCompareMedians(t *testing.T) {
	takes := func(all ...time.Duration) func(context.Context) (time.Duration, error) {
		return func(context.Context) (time.Duration, error) {
			next := all[0]
			all = all[1:]
			return next, nil
		}
	}
	for rounds, want := range map[int]Pair{1: {7, 9}, 2: {5, 6}, 3: {4, 5}} {
		pair, err := CompareMedians(t.Context(), rounds, takes(7, 3, 4), takes(9, 3, 5))
		if err != nil || pair != want {
			t.Errorf("%d rounds: %+v, %v; want %+v", rounds, pair, err, want)
		}
	}
}

func TestCompareStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := Compare(t.Context(), 3, func(context.Context) error { return broken }, func(context.Context) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
