package keeper

import (
	"context"
	"errors"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/cache"
)

// A glance is a look at whether there is anything to take.
type glance struct {
	*Keeper
	open *here.Kept // the repositories
}

// unchanged is Take for a stack of which every target has all that there is, and reports
// whether that is so. It costs two calls for each target: what keys and what snapshots there
// are. In doubt it is not so, and nothing was done.
func (k glance) unchanged(ctx context.Context, s *here.Stack) (bool, error) {
	if k.Wishes(s.Name).Owed != "" || k.Condition(s.Name).Unread != "" || len(s.Targets) == 0 {
		return false, nil
	}
	lock, err := k.LockStack(ctx, s.Name, here.Daemon, takingSnapshot)
	if err != nil {
		return false, err
	}
	defer lock.Release()
	if (report{k.Keeper, s}).missed(ctx).any() || s.AllReady() != nil {
		return false, nil
	}
	if s, err = s.Open(); err != nil {
		return false, err
	}
	s.Access = s.Access.Through(k.open.Open)
	began := k.Edges.Time().UTC()
	var first agentapi.SnapshotReceipt
	var found []finding.Finding
	for i, target := range s.Targets {
		result, same, err := k.unchangedOn(ctx, s, target)
		if err != nil || !same {
			return false, nil // whatever it is, the taking says it
		}
		receipt := receiptOf(s.Stack, result)
		if found = append(found, onHost(s.Spec.Name, s.Name, receipt.Findings)...); i == 0 {
			first = receipt
		}
	}
	for _, target := range s.Targets {
		k.Enter(journal.Entry{Kind: "snapshot", Stack: s.Name, Commit: s.Spec.Commit, Text: target.Name + ": "})
	}
	return true, k.NoteTaken(s.Spec.Name, s.Name, began, first, found, nil)
}

func (k glance) unchangedOn(ctx context.Context, s *here.Stack, target agentapi.Target) (r snapshot.Result, same bool, err error) {
	if n := ArchiveOf(s).Notes()[target.Repository]; !n.told(s.Epoch) && s.Spec.Record.Remote != "" || len(n.Suspects) > 0 {
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
