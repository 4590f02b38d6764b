package keeper

import (
	"context"
	"errors"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
)

// copying is a copy of a snapshot that is made without the stack's lock. While it waits for
// that and while it is made, nothing is deleted on the stack's targets, and the target that
// gets it gets nothing else.
type copying struct {
	turns
	to   agentapi.Target
	from source
	lock *runlock.Lock
}

// under says that a copy to a target is under way, if one is.
func (t turns) under(target agentapi.Target) (finding.Finding, bool) {
	holder, under := here.CopyTo(t.Host, target)
	return copyLasts(t.stack.Spec.Name, t.stack.Name, target.Name, holder.Since), under
}

// later returns the copy that a target gets once the stack's lock is free; nil where it has
// its turn now.
func (t turns) later(ctx context.Context, target agentapi.Target) *copying {
	if !t.taking.apart || t.taking.Diverged || t.taking.read {
		return nil
	}
	from, found := t.source(target)
	if !found {
		return nil
	}
	lock, err := here.BeginCopy(ctx, t.Host, t.stack.Stack, target)
	if err != nil {
		return nil // the turn says what is wrong
	}
	return &copying{turns: t, to: target, from: from, lock: lock}
}

// Make makes the copy, and notes what came of it. Where the snapshot can't be copied, the stack
// is read for the target.
func (c *copying) Make(ctx context.Context) (did try) {
	defer c.lock.Release()
	if did.err = ctx.Err(); did.err != nil {
		return did
	}
	own := New(c.Host)
	defer own.Close(ctx)
	turn := turns{own, c.stack, c.taking, c.since}
	did.read = c.from.read
	s, err := c.stack.Open() // what it learns is not shared with another copy
	if did.err = err; err == nil {
		turn.stack = s
		did.receipt, did.err = turn.copyTo(ctx, c.to, c.from)
	}
	if !errors.Is(did.err, snapshot.ErrNotCopied) {
		did.err = turn.record([]agentapi.Target{c.to}, did)
		return did
	}
	own.Enter(journal.Entry{Kind: "snapshot", Stack: s.Name, Text: c.to.Name + ": the stack is read again", Error: did.err.Error()})
	c.lock.Release()
	t := c.taking
	t.Targets, t.read = []agentapi.Target{c.to}, true
	did.receipt, did.err = own.Take(ctx, c.stack, t)
	return did
}
