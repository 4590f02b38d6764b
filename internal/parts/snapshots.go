package parts

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"salvor/internal/agentapi"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
)

// Snapshots lists a stack's snapshots as they are on its targets, those of former repositories
// first, as its host would. A target that does not answer is named in the list; where none
// answers that is an error. What was proven is known by the record and the lock; while the record
// is away it is not known, and said.
func (r *Reader) Snapshots(ctx context.Context, stack string) (agentapi.SnapshotList, error) {
	list := agentapi.SnapshotList{Schema: agentapi.Schema, Stack: stack}
	archives, err := r.Archives.Of(stack)
	if err != nil {
		return list, fmt.Errorf("stack %s: %w", stack, err)
	}
	archives = slices.DeleteFunc(archives, func(a recording.Archive) bool { return a.Apart })
	if err := r.Archives.Judge(ctx, stack, archives); err != nil {
		s := search{reader: r, stack: stack}
		s.note(archives[0], "which snapshots were proven is not known: "+err.Error())
	}
	rows, errs := make([][]agentapi.SnapshotRow, len(archives)), make([]error, len(archives))
	var group errgroup.Group
	group.SetLimit(asked)
	for i, a := range archives {
		group.Go(func() error {
			rows[i], errs[i] = r.rows(ctx, a)
			return nil
		})
	}
	_ = group.Wait() // each error has its place
	silent := map[string]bool{}
	for i, a := range slices.Backward(archives) {
		list.Snapshots = append(list.Snapshots, rows[i]...)
		if errs[i] != nil && !silent[a.Target] {
			silent[a.Target] = true
			m := a.Trust.Proven
			list.Silent = append(list.Silent, agentapi.SilentTarget{Name: a.Target, Why: errs[i].Error(), Newest: agentapi.SnapshotInfo{ID: m.ID, Epoch: m.Epoch, Seq: m.Seq, Began: m.At}})
		}
	}
	if len(list.Snapshots) == 0 {
		return list, errors.Join(errs...)
	}
	return list, nil
}

func (r *Reader) rows(ctx context.Context, a recording.Archive) (rows []agentapi.SnapshotRow, err error) {
	err = r.Archives.On(ctx, a, func(repo snapshot.Repository) error {
		described, err := snapshot.Describe(ctx, repo, a.Stack)
		if errors.Is(err, snapshot.ErrNoRepository) && a.Trust.Proven.Zero() {
			return nil // nothing was taken yet
		}
		rows = snapshot.Rows(described, a.Target, a.Trust.Proven)
		return err
	})
	for i := range rows {
		rows[i].Former = a.Former
	}
	return rows, err
}
