package here

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// TestHostLock: whoever comes second is told who holds the lock, at once where
// that is somebody else, and after a while where it may be one's own run that has
// lost its salvor. What the daemon does by itself is waited for.
func TestHostLock(t *testing.T) {
	for _, c := range []struct {
		name, holder string
		holds        time.Duration // for good when 0
		waits        time.Duration
		refused      bool
	}{
		{"somebody else", "bob@desk", 0, 0, true},
		{"own run that ends", "alice@laptop", 3 * time.Second, 3 * time.Second, false},
		{"own run that goes on", "alice@laptop", 0, ownWait, true},
		{"daemon", Daemon, 10 * time.Minute, 10 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &Host{Paths: hostpath.Layout{Run: t.TempDir()}}
				first, err := runlock.Acquire(h.Paths.Run, "host", runlock.Holder{Owner: c.holder, Message: "apply 1a2b3c4"})
				if err != nil {
					t.Fatal(err)
				}
				defer first.Release()
				if c.holds > 0 {
					time.AfterFunc(c.holds, first.Release)
				}
				began := time.Now()
				l, err := h.Lock(t.Context(), "alice@laptop", "apply 5d6e7f8", progress.Discard())
				var held *runlock.HeldError
				if refused := errors.As(err, &held); refused != c.refused || !refused && err != nil {
					t.Fatalf("lock: %v", err)
				}
				if took := time.Since(began); took < c.waits || took > c.waits+LockPause {
					t.Errorf("it took %v, want %v", took, c.waits)
				}
				if l != nil {
					l.Release()
				}
			})
		})
	}
}
