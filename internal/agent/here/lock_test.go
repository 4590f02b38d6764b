package here

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// TestHostLock: the second run gets an error that names the holder of the lock, at
// once if that is another operator, and after a while if it may be an own run that
// has lost its salvor. What the daemon does on its own is waited for.
func TestHostLock(t *testing.T) {
	for _, c := range []struct {
		name, holder string
		holds        time.Duration // permanently when 0
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

// TestStackLock: a second run waits for as long as the first works on the stack, or until
// its own context ends. Each stack has a lock of its own.
func TestStackLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &Host{Paths: hostpath.Layout{Run: t.TempDir() + "/run"}} // it is made
		first, err := h.LockStack(t.Context(), "notes", Daemon, "snapshot")
		if err != nil {
			t.Fatal(err)
		}
		other, err := h.LockStack(t.Context(), "shop", Daemon, "snapshot")
		if err != nil {
			t.Fatalf("another stack: %v", err)
		}
		other.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var held *runlock.HeldError
		if _, err := h.LockStack(ctx, "notes", "alice@laptop", "apply"); !errors.As(err, &held) || held.Holder.Message != "snapshot" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("given up: %v", err)
		}
		time.AfterFunc(time.Hour, first.Release)
		began := time.Now()
		second, err := h.LockStack(t.Context(), "notes", "alice@laptop", "apply")
		if err != nil || time.Since(began) < time.Hour || time.Since(began) > time.Hour+LockPause {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		if holder, ok := runlock.Held(h.Paths.Run, StackLock("notes")); !ok || holder.Owner != "alice@laptop" || holder.Message != "apply" || holder.Since.IsZero() {
			t.Errorf("held by %+v, %v", holder, ok)
		}
		second.Release()
		if _, ok := runlock.Held(h.Paths.Run, StackLock("notes")); ok {
			t.Error("it is held after its release")
		}
	})
}

// TestAwaitFails where no lock can be made, at once.
func TestAwaitFails(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &Host{Paths: hostpath.Layout{Run: file + "/run"}}
	if l, err := h.Await(t.Context(), "host", runlock.Holder{Owner: Daemon}); err == nil {
		l.Release()
		t.Error("a lock below a file")
	}
	if l, err := h.Lock(t.Context(), Daemon, "apply", progress.Discard()); err == nil {
		l.Release()
		t.Error("the host's lock below a file")
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if err := Sleep(t.Context(), 500*time.Millisecond); err != nil || time.Since(began) != 500*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
