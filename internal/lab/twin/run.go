package twin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// A Result is what became of one world.
type Result struct {
	Seed   uint64
	Tally  Tally
	Broken []Broken
	Log    []string // what happened, in order
}

// Worlds makes worlds. It is safe for concurrent use.
type Worlds struct{ shop *workshop }

// New prepares what all worlds are made with.
func New(ctx context.Context) (*Worlds, error) {
	shop, err := newWorkshop(ctx)
	return &Worlds{shop}, err
}

// Run makes the world of a seed and returns what became of it. t lends the world its
// clock; it fails where the world could not be made.
func (ws *Worlds) Run(t *testing.T, seed uint64) Result {
	t.Helper()
	r := Result{Seed: seed, Tally: Tally{Worlds: 1}}
	dir, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in memory
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		w, err := newWorld(ctx, ws.shop, seed, dir)
		if err == nil {
			err = errors.Join(w.start(), driver{w}.drive())
			cancel()
			w.end()
			r.Broken, r.Log = w.laws, w.log
			r.Tally.Add(w.tally)
		}
		cancel()
		if err != nil {
			t.Error(fmt.Errorf("seed %d: %w", seed, err))
		}
	})
	return r
}

// Many makes the worlds of seeds, as many at a time as the test may, and calls report with
// each, one after another. No world is begun once more, which is called by many at a time,
// says no: the caller counts what was reported.
func (ws *Worlds) Many(t *testing.T, seeds []uint64, more func() bool, report func(Result)) {
	t.Helper()
	var mu sync.Mutex
	for _, seed := range seeds {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			if !more() {
				return
			}
			r := ws.Run(t, seed)
			mu.Lock()
			defer mu.Unlock()
			report(r)
		})
	}
}

// Counted returns n seeds from first on.
func Counted(first uint64, n int) []uint64 {
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = first + uint64(i)
	}
	return seeds
}

// Report is what a person reads of a world in which a law was broken.
func (r Result) Report() string {
	var text strings.Builder
	fmt.Fprintf(&text, "seed %d\n", r.Seed)
	for _, line := range r.Log {
		fmt.Fprintf(&text, "  %s\n", strings.ReplaceAll(line, "\n", "\n  "))
	}
	return text.String()
}
