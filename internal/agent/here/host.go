package here

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/terminal"
)

// Host is this host as all of its work sees it.
type Host struct {
	Machine   machine.Machine
	Stacks    *stack.Host
	Snapshots snapshot.Engine
	Journal   journal.Journal
	Paths     hostpath.Layout
	Lease     agentapi.Lease
	Late      time.Duration // how long a listing may lag behind what was written; 0 for a minute
	Edges     Edges

	specs specs
	own   atomic.Pointer[ownRecipient]
}

// Local is what a host remembers of a stack that it ran or runs.
type Local struct {
	Schema   int    `json:"schema"`
	Epoch    int    `json:"epoch"`              // at which it last started here
	Lost     bool   `json:"lost,omitempty"`     // another host has taken it over
	Released int    `json:"released,omitempty"` // epoch whose final snapshot was handed over; only an apply starts it here again
	Final    string `json:"final,omitempty"`    // id of that snapshot
	Sealed   string `json:"sealed,omitempty"`   // digest of the sealed file whose secrets are delivered
	Reported bool   `json:"reported,omitempty"` // the record knows which of its volumes were born

	Images map[string]string `json:"images,omitempty"` // that the record knows from this host, at Epoch
	Wish   string            `json:"wish,omitempty"`   // that the record knows from this host to be done, at Epoch

	Unread string `json:"-"` // why the file could not be read; then the rest is empty
}

// ReleasedAt reports whether the stack was release at that epoch. The host that takes
// it over may have started it from the final snapshot, so a start here, even by a
// host that still owns it, could lose what is written from then on.
func (l Local) ReleasedAt(epoch int) bool { return l.Released > 0 && l.Released >= epoch }

// LostAt reports whether another host has taken the stack over from that epoch: one that
// was lost and is placed here again has a newer one.
func (l Local) LostAt(epoch int) bool { return l.Lost && l.Epoch >= epoch }

// Daemon owns the locks of what a host does on its own.
const Daemon = "salvord"

// ownWait is how long an operator's own earlier run gets to end: one whose salvor is
// gone ends on its own, see hostapp.
const ownWait = 20 * time.Second

// Lock takes the host's lock, or says who holds it. It waits for what ends on its
// own: the daemon starting stacks, and shortly the same operator's run before this
// one, which may have lost its salvor.
func (h *Host) Lock(ctx context.Context, owner, message string, sink progress.Sink) (*runlock.Lock, error) {
	holder := runlock.Holder{Owner: owner, Message: message, Since: time.Now().UTC()}
	began, end := time.Now(), func(error, string) {}
	for said := false; ; said = true {
		if err := os.MkdirAll(h.Paths.Run, 0o700); err != nil {
			return nil, err
		}
		l, err := runlock.Acquire(h.Paths.Run, "host", holder)
		var held *runlock.HeldError
		ends := errors.As(err, &held) && (held.Holder.Owner == Daemon || held.Holder.Owner == owner && time.Since(began) < ownWait)
		if !ends {
			end(err, "")
			return l, err
		}
		if !said {
			end = progress.Scope{Sink: sink}.Step("wait for another run", held.Error())
		}
		if err := Sleep(ctx, LockPause); err != nil {
			return nil, errors.Join(held, err)
		}
	}
}

// LockPause is how often a busy stack is asked again.
const LockPause = 200 * time.Millisecond

// LockStack takes a stack's lock, waiting for a snapshot or a start under way. When ctx ends
// first the error wraps a *runlock.HeldError, which names the holder.
func (h *Host) LockStack(ctx context.Context, stack, owner, message string) (*runlock.Lock, error) {
	return h.Await(ctx, StackLock(stack), runlock.Holder{Owner: owner, Message: message, Since: time.Now().UTC()})
}

// StackLock is the name of a stack's lock.
func StackLock(stack string) string { return "stack-" + stack }

// Await takes a lock by its name, waiting for its holder to release it; the error is as for
// LockStack.
func (h *Host) Await(ctx context.Context, name string, holder runlock.Holder) (*runlock.Lock, error) {
	if err := os.MkdirAll(h.Paths.Run, 0o700); err != nil {
		return nil, err
	}
	for {
		l, err := runlock.Acquire(h.Paths.Run, name, holder)
		var held *runlock.HeldError
		if !errors.As(err, &held) {
			return l, err
		}
		if err := Sleep(ctx, LockPause); err != nil {
			return nil, errors.Join(held, err)
		}
	}
}

// Sleep waits, and returns the error of ctx when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Enter adds to the journal. One that can't be written, as on a full disk, keeps
// nothing from happening: the entry goes to standard error, which systemd keeps.
func (h *Host) Enter(e journal.Entry) {
	err := os.MkdirAll(h.Journal.Dir, 0o700)
	if err == nil {
		err = h.Journal.Append(e)
	}
	if err != nil {
		terminal.Printf(terminal.Stderr(), "salvord: %s %s %s %s (not in the journal: %s)\n", e.Kind, e.Stack, e.Text, e.Error, err.Error())
	}
}

// Trouble writes what could not be done into the journal.
func (h *Host) Trouble(kind string, err error) {
	h.Enter(journal.Entry{Kind: kind, Error: err.Error()})
}

// Exec runs a program in a service of a project.
func (h *Host) Exec(ctx context.Context, project string, c snapshot.Command) error {
	return h.Stacks.Exec(ctx, project, stack.Session{Service: c.Service, User: c.User, Argv: c.Argv, Stdin: c.Stdin, Stdout: c.Stdout})
}

// ErrorText is an error as notes have it, "" for none.
func ErrorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
