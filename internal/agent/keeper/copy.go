package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// turns are those of a stack's targets in one taking.
type turns struct {
	*Keeper
	stack  *here.Stack
	taking Taking
	since  time.Time // data that was read later is new enough to be copied
}

// of has one target get its snapshot: from another target that has data which is new enough,
// else from the volumes.
func (t turns) of(ctx context.Context, target agentapi.Target) (did try) {
	if from, found := t.source(target); found && !t.taking.Diverged && !t.taking.read {
		did.read = from.read
		did.receipt, did.err = t.copyTo(ctx, target, from)
		if !errors.Is(did.err, snapshot.ErrNotCopied) {
			return did
		}
		t.Enter(journal.Entry{Kind: "snapshot", Stack: t.stack.Name, Text: target.Name + ": the stack is read again", Error: did.err.Error()})
	}
	did.read = t.Edges.Time().UTC()
	did.receipt, did.err = t.takeOn(ctx, t.stack, target, t.taking, nil)
	return did
}

// record enters what the turn of the first of some targets came to into the journal, and
// notes it for all of them. It returns the error with the target's name.
func (t turns) record(of []agentapi.Target, did try) error {
	t.Enter(journal.Entry{Kind: "snapshot", Stack: t.stack.Name, Commit: t.stack.Spec.Commit, Text: of[0].Name + ": " + did.receipt.Verified, Error: here.ErrorText(did.err)})
	noted := t.note(of, did)
	if did.err != nil && len(t.stack.Targets) > 1 {
		did.err = fmt.Errorf("target %s: %w", of[0].Name, did.err)
	}
	return errors.Join(noted, did.err)
}

// note remembers what the turns of targets came to. What is diverged says nothing of the
// stack's data.
func (t turns) note(targets []agentapi.Target, did try) error {
	if t.taking.Diverged {
		return nil
	}
	var errs []error
	for _, target := range targets {
		errs = append(errs, t.noteTry(t.stack, target.Name, did))
	}
	return errors.Join(errs...)
}

// A source is a target from which another one gets the stack's data.
type source struct {
	target   agentapi.Target
	snapshot string    // its id there
	read     time.Time // when the data was read
}

// source returns the target with the stack's newest data, the first in the file among equals,
// if that is new enough and newer than what the other one has. What a reading back doubts is
// not copied, and a target that it doubts is read for.
func (t turns) source(to agentapi.Target) (best source, found bool) {
	c, notes := t.Condition(t.stack.Name), ArchiveOf(t.stack).Notes()
	if c.On(to.Name).Unread != "" || len(notes[to.Repository].Suspects) > 0 {
		return best, false
	}
	var newest snapshot.Mark
	for _, o := range t.stack.Targets {
		on, n := c.On(o.Name), notes[o.Repository]
		fresh := on.Good.After(c.On(to.Name).Good) && !on.Good.Before(t.since) && n.Mark.Epoch == t.stack.Epoch && n.Mark.ID == on.Snapshot
		if o.Name == to.Name || !fresh || notes[to.Repository].Mark.Newer(n.Mark) || on.Unread != "" || len(n.Suspects) > 0 {
			continue
		}
		if !found || n.Mark.Newer(newest) {
			best, newest, found = source{o, n.Mark.ID, on.Good}, n.Mark, true
		}
	}
	return best, found
}

// copyTo has a target get the snapshot that another one has. A host that has lost the stack
// copies nothing.
func (t turns) copyTo(ctx context.Context, to agentapi.Target, from source) (receipt agentapi.SnapshotReceipt, err error) {
	if err := t.Guard.NotLost(ctx, t.stack); err != nil {
		return receipt, err
	}
	repo, err := ArchiveOf(t.stack).Repository(ctx, from.target)
	if err != nil {
		return receipt, fmt.Errorf("%w from %s: %w", snapshot.ErrNotCopied, from.target.Name, err)
	}
	defer func() { err = errors.Join(err, repo.Close(ctx)) }()
	objects, err := t.cached(ctx, t.stack, from.target, repo.Store)
	if err != nil {
		return receipt, fmt.Errorf("%w from %s: %w", snapshot.ErrNotCopied, from.target.Name, err)
	}
	repo.Store = objects
	return t.takeOn(ctx, t.stack, to, t.taking, &snapshot.Source{Repository: repo.Repository, Snapshot: from.snapshot})
}

// cutting is how a new repository on a target cuts files: as those on the other targets do,
// as far as this host or the record knows. Former ones do not count: someone who must not
// read what is taken from now on may know how they cut.
func (a *Archive) cutting(of agentapi.Target) repository.Cutting {
	notes := a.Notes()
	for _, t := range a.Targets {
		spare := notes[t.Repository].Spare
		if p, ok := a.Access.Proven[t.Repository]; ok && !spare.Whole() {
			spare = repository.Spare{Key: p.Key, Config: p.Config}
		}
		password, known := a.Access.Password(t.Repository)
		if t.Name == of.Name || !known || !spare.Whole() {
			continue
		}
		if c, err := spare.Cutting(password); err == nil {
			return c
		}
	}
	return repository.Cutting{}
}
