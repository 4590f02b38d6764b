// Package agent is what a host does: become what a commit says, restore before
// it starts, check that its stacks are still its own, take snapshots. Every verb
// of salvord and its daemon are methods of Host.
package agent

import (
	"context"
	"errors"
	"os"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// Host is this host. Its methods may be called from several processes: runs
// that change something hold a lock.
type Host base

func (h *Host) base() *base { return (*base)(h) }

func (h *Host) keeper() *keeper { return newKeeper(h.base()) }

// base is this host as all of its work sees it.
type base struct {
	Machine   machine.Machine
	Stacks    *stack.Host
	Snapshots snapshot.Engine
	Journal   journal.Journal
	Paths     hostpath.Layout
	Lease     agentapi.Lease
	Late      time.Duration // how long a listing may lag behind what was written; 0 for a minute
	Edges     Edges
}

// Local is what a host remembers of a stack that it ran or runs.
type Local struct {
	Schema   int    `json:"schema"`
	Epoch    int    `json:"epoch"`              // at which it last started here
	Lost     bool   `json:"lost,omitempty"`     // another host has taken it over
	Released int    `json:"released,omitempty"` // epoch whose final snapshot was handed over; only an apply starts it here again
	Final    string `json:"final,omitempty"`    // id of that snapshot
	Sealed   string `json:"sealed,omitempty"`   // digest of the sealed file whose secrets are delivered

	Unread string `json:"-"` // why the file could not be read; then the rest is empty
}

// released reports whether the stack was released at that epoch. The host that takes
// it over may have started it from the final snapshot, so a start here, even by a
// host that still owns it, could lose what is written from then on.
func (l Local) released(epoch int) bool { return l.Released > 0 && l.Released >= epoch }

// daemon owns the locks of what a host does on its own.
const daemon = "salvord"

// ownWait is how long an operator's own earlier run gets to end: one whose salvor is
// gone ends on its own, see hostapp.
const ownWait = 20 * time.Second

// lock takes the host's lock, or says who holds it. It waits for what ends on its
// own: the daemon starting stacks, and shortly the same operator's run before this
// one, which may have lost its salvor.
func (h *base) lock(ctx context.Context, owner, message string, sink progress.Sink) (*runlock.Lock, error) {
	holder := runlock.Holder{Owner: owner, Message: message, Since: time.Now().UTC()}
	began, end := time.Now(), func(error, string) {}
	for told := false; ; told = true {
		if err := os.MkdirAll(h.Paths.Run, 0o700); err != nil {
			return nil, err
		}
		l, err := runlock.Acquire(h.Paths.Run, "host", holder)
		var held *runlock.HeldError
		ends := errors.As(err, &held) && (held.Holder.Owner == daemon || held.Holder.Owner == owner && time.Since(began) < ownWait)
		if !ends {
			end(err, "")
			return l, err
		}
		if !told {
			end = progress.Scope{Sink: sink}.Step("wait for another run", held.Error())
		}
		if err := pause(ctx, lockPause); err != nil {
			return nil, errors.Join(held, err)
		}
	}
}

// lockPause is how often a busy stack is asked again.
const lockPause = 200 * time.Millisecond

// lockStack takes a stack's lock, waiting for a snapshot or a start under way.
func (h *base) lockStack(ctx context.Context, stack, owner, message string) (*runlock.Lock, error) {
	return h.await(ctx, stackLock(stack), runlock.Holder{Owner: owner, Message: message, Since: time.Now().UTC()})
}

func stackLock(stack string) string { return "stack-" + stack }

func (h *base) await(ctx context.Context, name string, holder runlock.Holder) (*runlock.Lock, error) {
	if err := os.MkdirAll(h.Paths.Run, 0o700); err != nil {
		return nil, err
	}
	for {
		l, err := runlock.Acquire(h.Paths.Run, name, holder)
		var held *runlock.HeldError
		if !errors.As(err, &held) {
			return l, err
		}
		if err := pause(ctx, lockPause); err != nil {
			return nil, errors.Join(held, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// record adds to the journal. One that can't be written, as on a full disk, keeps
// nothing from happening: the entry goes to standard error, which systemd keeps.
func (h *base) record(e journal.Entry) {
	err := os.MkdirAll(h.Journal.Dir, 0o700)
	if err == nil {
		err = h.Journal.Append(e)
	}
	if err != nil {
		terminal.Printf(terminal.Stderr(), "salvord: %s %s %s %s (not in the journal: %s)\n", e.Kind, e.Stack, e.Text, e.Error, err.Error())
	}
}

// Spec returns what the host was last asked to be; an unprepared host was asked for
// nothing.
func (h *Host) Spec() (agentapi.Host, error) { return h.base().Spec() }

// Trusted returns the fleet's signing keys that this host trusts. A host without one
// is an error.
func (h *Host) Trusted() (sign.Keys, error) { return h.base().Trusted() }

// Resume makes every stack continue that a snapshot left paused when its process
// died. It may be called at any time.
func (h *Host) Resume(ctx context.Context) error { return h.keeper().Resume(ctx) }

// Quiescer returns what pauses and resumes one stack.
func (h *Host) Quiescer(stack string) snapshot.Quiescer { return h.keeper().Quiescer(stack) }

// ListSnapshots lists a placed stack's snapshots as they are on its targets, and the
// newest one that was proven where a target lacks it.
func (h *Host) ListSnapshots(ctx context.Context, req agentapi.Snapshots, _ progress.Sink) (agentapi.SnapshotList, error) {
	return h.keeper().ListSnapshots(ctx, req.Stack)
}
