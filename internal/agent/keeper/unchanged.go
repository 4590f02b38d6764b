package keeper

import (
	"context"
	"errors"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/cache"
)

// A glance is a look at whether there is anything to take.
type glance struct {
	*Keeper
	open *here.Kept // the repositories
}

// changed returns those of a stack's targets that do not have all that there is. It costs
// two calls for each: what keys and what snapshots there are. In doubt a target is returned,
// and nothing was done there.
func (k glance) changed(ctx context.Context, s *here.Stack, targets []agentapi.Target) ([]agentapi.Target, error) {
	if k.Wishes(s.Name).Owed != "" {
		return targets, nil
	}
	lock, err := k.LockStack(ctx, s.Name, here.Daemon, takingSnapshot)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if (report{k.Keeper, s}).missed(ctx).any() || s.AllReady() != nil {
		return targets, nil
	}
	if s, err = s.Open(); err != nil {
		return nil, err
	}
	s.Access = s.Access.Through(k.open.Open)
	var left []agentapi.Target
	for _, target := range targets {
		did := try{read: k.Edges.Time().UTC()}
		result, same, err := k.unchangedOn(ctx, s, target)
		if err != nil || !same {
			left = append(left, target) // whatever it is, the taking says it
			continue
		}
		did.receipt = receiptOf(s.Stack, result)
		did.receipt.Findings = onHost(s.Spec.Name, s.Name, did.receipt.Findings)
		k.Enter(journal.Entry{Kind: "snapshot", Stack: s.Name, Commit: s.Spec.Commit, Text: target.Name + ": "})
		if err := k.noteTry(s, target.Name, did); err != nil {
			return nil, err
		}
	}
	return left, nil
}

func (k glance) unchangedOn(ctx context.Context, s *here.Stack, target agentapi.Target) (r snapshot.Result, same bool, err error) {
	if n := ArchiveOf(s).Notes()[target.Repository]; !n.told(s.Epoch) && s.Spec.Record.Remote != "" || len(n.Suspects) > 0 || k.Condition(s.Name).On(target.Name).Unread != "" {
		return r, false, nil
	}
	repo, err := ArchiveOf(s).Repository(ctx, target)
	if err != nil {
		return r, false, err
	}
	defer func() { err = errors.Join(err, repo.Close(ctx)) }()
	repo.Store = cache.New(repo.Store, k.Paths.Objects(target.Repository))
	job, err := k.job(ctx, s, repo.Repository, Taking{})
	if err != nil {
		return r, false, err
	}
	job.After = ArchiveOf(s).NewestProven(target.Repository)
	return k.Snapshots.Unchanged(ctx, job)
}
