package startup

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestMuchDataWaitsForDocker(t *testing.T) {
	const gone = 3 * time.Second // after which the apply is given up
	for name, c := range map[string]struct {
		bytes  int64
		engine time.Duration // when Docker is there, 0 for never
		given  bool          // up, after gone
		want   time.Duration
	}{
		"little data":            {bytes: muchData - 1, want: 0},
		"Docker comes":           {bytes: muchData, engine: 9 * time.Second, want: 9 * time.Second},
		"Docker is slow to come": {bytes: muchData, want: holdLimit},
		"given up":               {bytes: muchData, given: true, want: gone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := &Run{}
				if c.engine > 0 {
					time.AfterFunc(c.engine, func() { r.Meet(needEngine, nil) })
				}
				if c.given {
					time.AfterFunc(gone, cancel)
				}
				began := time.Now()
				if err := r.holdForEngine(ctx, c.bytes); (err != nil) != c.given {
					t.Errorf("hold: %v", err)
				}
				if held := time.Since(began); held != c.want {
					t.Errorf("held for %s, want %s", held, c.want)
				}
			})
		})
	}
}
