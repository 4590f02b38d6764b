package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// A source is a target from which another one gets the stack's data.
type source struct {
	target   agentapi.Target
	snapshot string    // its id there
	read     time.Time // when the data was read
}

// sourceFor returns the target with the stack's newest data, the first in the file among
// equals, if that was read since a time and after what the other one has. What a reading back doubts is not copied, and what
// doubts a target is read from the volumes.
func (k *Keeper) sourceFor(s *here.Stack, to agentapi.Target, since time.Time) (best source, found bool) {
	c, notes := k.Condition(s.Name), ArchiveOf(s).Notes()
	if c.On(to.Name).Unread != "" || len(notes[to.Repository].Suspects) > 0 {
		return best, false
	}
	var newest snapshot.Mark
	for _, t := range s.Targets {
		on, n := c.On(t.Name), notes[t.Repository]
		fresh := on.Good.After(c.On(to.Name).Good) && !on.Good.Before(since) && n.Mark.Epoch == s.Epoch && n.Mark.ID == on.Snapshot
		if t.Name == to.Name || !fresh || notes[to.Repository].Mark.Newer(n.Mark) || on.Unread != "" || len(n.Suspects) > 0 {
			continue
		}
		if !found || n.Mark.Newer(newest) {
			best, newest, found = source{t, n.Mark.ID, on.Good}, n.Mark, true
		}
	}
	return best, found
}

// copyTo has a target get the snapshot that another one has. A host that has lost the stack
// copies nothing.
func (k *Keeper) copyTo(ctx context.Context, s *here.Stack, to agentapi.Target, t Taking, from source) (receipt agentapi.SnapshotReceipt, err error) {
	if err := k.Guard.NotLost(ctx, s); err != nil {
		return receipt, err
	}
	repo, err := ArchiveOf(s).Repository(ctx, from.target)
	if err != nil {
		return receipt, fmt.Errorf("%w from %s: %w", snapshot.ErrNotCopied, from.target.Name, err)
	}
	defer func() { err = errors.Join(err, repo.Close(ctx)) }()
	objects, err := k.cached(ctx, s, from.target, repo.Store)
	if err != nil {
		return receipt, fmt.Errorf("%w from %s: %w", snapshot.ErrNotCopied, from.target.Name, err)
	}
	repo.Store = objects
	return k.takeOn(ctx, s, to, t, &snapshot.Source{Repository: repo.Repository, Snapshot: from.snapshot})
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
