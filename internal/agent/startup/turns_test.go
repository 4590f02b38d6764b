package startup

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

func TestWhoStartsGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.free = 1
		done, err := turns.take(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		wait := func(name string, starts bool) {
			go func() {
				done, err := turns.take(t.Context(), starts)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name) // one turn at a time
				done()
				done()
			}()
			synctest.Wait()
		}
		wait("pulls", false)
		wait("starts", true)
		gone, cancel := context.WithCancel(t.Context())
		go func() { cancel() }()
		if _, err := turns.take(gone, true); err == nil {
			t.Error("a turn came although none was free")
		}
		done()
		synctest.Wait()
		if want := []string{"starts", "pulls"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
		if turns.free != 1 {
			t.Errorf("%d turns are free, want 1", turns.free)
		}
	})
}

func TestATurnEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		turns.free = 1
		done, err := turns.take(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		next, err := turns.take(t.Context(), false) // synctest's clock goes on while all wait
		if err != nil {
			t.Fatal(err)
		}
		done()
		next()
		if turns.free != 1 {
			t.Errorf("%d turns are free, want 1", turns.free)
		}
	})
}
