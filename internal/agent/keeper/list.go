package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/snapshot"
)

// ListSnapshots lists a placed stack's snapshots as they are on its targets, those of former
// repositories first, and the newest one that was proven where a target lacks it. A target
// that does not answer is named in the list, with the newest that it is known to have; where
// none answers that is an error.
func (k *Keeper) ListSnapshots(ctx context.Context, stack string) (agentapi.SnapshotList, error) {
	all := agentapi.SnapshotList{Schema: agentapi.Schema, Stack: stack}
	s, err := k.Placed(stack)
	if err != nil {
		return all, err
	}
	if len(s.Targets) == 0 {
		return all, fault.WithHint(errors.New("the fleet has no snapshot target"), "declare data.snapshots in fleet.yaml")
	}
	s, err = s.Open()
	if err != nil {
		return all, err
	}
	ArchiveOf(s).LearnProven(ctx)
	var errs []error
	for _, t := range s.Targets {
		rows, err := ArchiveOf(s).allRows(ctx, t)
		if err != nil {
			m := ArchiveOf(s).NewestProven(t.Repository)
			errs = append(errs, err)
			all.Silent = append(all.Silent, agentapi.SilentTarget{Name: t.Name, Why: err.Error(), Newest: agentapi.SnapshotInfo{ID: m.ID, Epoch: m.Epoch, Seq: m.Seq, Began: m.At}})
		}
		all.Snapshots = append(all.Snapshots, rows...)
	}
	if len(errs) == len(s.Targets) {
		return all, errors.Join(errs...)
	}
	return all, nil
}

// allRows are those of all repositories of a target, the oldest first.
func (a *Archive) allRows(ctx context.Context, t agentapi.Target) (all []agentapi.SnapshotRow, err error) {
	for age, one := range slices.Backward(t.Line()) {
		rows, err := a.rows(ctx, one)
		if err != nil {
			return all, fmt.Errorf("snapshot target %s, repository %s: %w", t.Name, one.Repository, err)
		}
		for i := range rows {
			rows[i].Former = age
		}
		all = append(all, rows...)
	}
	return all, nil
}

func (a *Archive) rows(ctx context.Context, t agentapi.Target) ([]agentapi.SnapshotRow, error) {
	described, err := a.described(ctx, t)
	if err != nil {
		return nil, err
	}
	return snapshot.Rows(described, t.Name, a.NewestProven(t.Repository)), nil
}

func (a *Archive) described(ctx context.Context, t agentapi.Target) ([]snapshot.Described, error) {
	r, err := a.made(ctx, t)
	if err != nil || r == nil {
		return nil, err
	}
	defer r.Close(ctx) // nothing was written
	return snapshot.Describe(ctx, r.Repository, a.Name)
}
