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

func TestCompareStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := Compare(t.Context(), 3, func(context.Context) error { return broken }, func(context.Context) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
