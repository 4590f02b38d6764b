package here

import (
	"context"
	"errors"
	"os"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/runlock"
)

// A snapshot is copied from one target to another without the stack's lock: it is finished, and
// a copy may take days. Who begins a copy holds the stack's lock for a moment, so who holds
// that and sees no copy has the repositories for itself.

// copyLock is the name of the lock that a copy to a target holds.
func copyLock(t agentapi.Target) string { return "copy-" + t.Repository }

// BeginCopy notes that a copy to a target of a stack is under way, until the lock is released.
// The caller holds the stack's lock now. One that is under way already is a
// *runlock.HeldError.
func BeginCopy(ctx context.Context, h *Host, st agentapi.Stack, to agentapi.Target) (*runlock.Lock, error) {
	holder := runlock.Holder{Owner: Daemon, Message: "copy to " + to.Name + " of a snapshot of " + st.Name, Since: time.Now().UTC()}
	for tries := 1; ; tries++ {
		lock, err := runlock.Acquire(h.Paths.Run, copyLock(to), holder)
		if err == nil || tries == looks {
			return lock, err
		}
		if waited := Sleep(ctx, LockPause/looks); waited != nil {
			return nil, errors.Join(err, waited)
		}
	}
}

// looks is how often a lock is tried at which others may only be looking.
const looks = 4

// CopyTo reports whether a copy to a target is under way, and who makes it.
func CopyTo(h *Host, t agentapi.Target) (runlock.Holder, bool) {
	return runlock.Held(h.Paths.Run, copyLock(t))
}

// LockAlone takes a stack's lock while no snapshot of it is copied. It waits for both; when ctx
// ends first the error wraps a *runlock.HeldError.
func LockAlone(ctx context.Context, h *Host, stack, owner, message string) (*runlock.Lock, error) {
	for {
		lock, err := h.LockStack(ctx, stack, owner, message)
		if err != nil {
			return nil, err
		}
		held := copyOf(h, stack)
		if held == nil {
			return lock, nil
		}
		lock.Release()
		if err := Sleep(ctx, LockPause); err != nil {
			return nil, errors.Join(held, err)
		}
	}
}

// copyOf says which copy of a stack's snapshots is under way, nil for none.
func copyOf(h *Host, stack string) error {
	s, err := h.Placed(stack)
	if err != nil {
		return nil //nolint:nilerr // nothing is copied of what is not placed here
	}
	for _, t := range s.Targets {
		if holder, under := CopyTo(h, t); under {
			return &runlock.HeldError{Name: "stack " + stack, Holder: holder}
		}
	}
	return nil
}

// ChangeNotes changes a file with notes about a stack, which several of the host's processes
// change.
func ChangeNotes(h *Host, stack string, change func() error) error {
	if err := os.MkdirAll(h.Paths.Run, 0o700); err != nil {
		return err
	}
	return runlock.Briefly(h.Paths.Run, "notes-"+stack, change)
}
