package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restserver"
)

// heal makes the repository whole before a snapshot rests on it. What is lost of
// it leaves the index, so that restic uploads it again where the host still has
// it; of damaged packs the rest is kept.
func (t *taking) heal(ctx context.Context) error {
	loss, packs, err := t.repo.Survey(ctx)
	if err != nil {
		return err
	}
	bad, err := t.suspects(ctx, loss)
	if err != nil {
		return err
	}
	unnamed, err := t.unnamed(ctx, packs)
	if err != nil || len(bad)+unnamed == 0 && loss.None() {
		return err
	}
	if t.job.Repository.appends {
		return fault.WithHint(fmt.Errorf("the repository has lost %d of its parts, and its target is append-only: the host can't repair it", len(bad)+len(loss.Packs)+len(loss.Indexes)+unnamed),
			"salvor snapshot prune "+t.job.Stack+", then salvor snapshot take "+t.job.Stack+" uploads again what the host still has")
	}
	end := t.scope(t.job.Stack).Step("repair the repository", "")
	err = t.repair(ctx, t.job.Repository, t.repo, t.job.Epoch, t.job.Holds, bad)
	end(err, "")
	t.healed = err == nil
	t.result.Repaired = len(bad) + len(loss.Packs) + len(loss.Indexes) + unnamed
	return err
}

// unnamed counts the packs that no index names, where a snapshot needs what no index
// names: then an index is lost whole. Without such a snapshot they are what an upload
// left that was interrupted.
func (t *taking) unnamed(ctx context.Context, packs []blob.Object) (int, error) {
	known := t.repo.Packs()
	count := 0
	for _, o := range packs {
		if _, ok := known[path.Base(o.Path)]; !ok {
			count++
		}
	}
	if count == 0 {
		return 0, nil
	}
	for _, i := range t.listed.Infos {
		s, err := t.repo.Snapshot(ctx, i.ID)
		if err == nil {
			err = t.repo.Named(ctx, s.Tree)
		}
		switch {
		case repository.IsDamage(err):
			return count, nil
		case err != nil:
			return 0, err
		}
	}
	return 0, nil
}

// suspects returns the packs that are there and do not hold what they should: those
// interrupted, and of those that the caller doubts the ones that differ.
func (t *taking) suspects(ctx context.Context, loss repository.Loss) ([]string, error) {
	var bad []string
	lost := map[string]bool{}
	for _, d := range loss.Packs {
		lost[d.ID] = true
		bad = append(bad, d.ID)
	}
	used := t.repo.Packs()
	for _, id := range t.job.Suspects {
		if _, known := used[id]; !known || lost[id] {
			continue
		}
		err := t.repo.PackIntact(ctx, id)
		if repository.IsDamage(err) {
			bad = append(bad, id)
		} else if err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// repair salvages what is good of damaged packs and rebuilds the index. The caller
// holds the stack's claim at epoch; holds, which may be nil, is asked before each
// deletion whether that is still so.
func (e Engine) repair(ctx context.Context, r Repository, repo *repository.Repository, epoch int, holds func(context.Context) error, packs []string) error {
	for _, id := range packs {
		if err := repo.Salvage(ctx, id); err != nil {
			return err
		}
	}
	if err := e.repairIndex(ctx, r, repo, epoch, holds); err != nil {
		return fmt.Errorf("repair the index: %w", err)
	}
	loss, _, err := repo.Survey(ctx)
	return errors.Join(err, loss.Err())
}

func (e Engine) repairIndex(ctx context.Context, r Repository, repo *repository.Repository, epoch int, holds func(context.Context) error) (err error) {
	if err := unlock(ctx, r, repo, epoch); err != nil {
		return err
	}
	ctx, s, err := e.open(ctx, r, restserver.Options{Mode: restserver.Full, Holds: holds}, epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(because(ctx, err), s.close()) }()
	return s.program.RepairIndex(ctx, s.repo)
}

// condemned returns which snapshots of a listing can't be restored whole, and
// why. It reads every folder of every snapshot.
func condemned(ctx context.Context, repo *repository.Repository, l Listing, lost []repository.Damaged) (map[string]string, error) {
	bad := map[string]string{}
	infos := slices.Clone(l.Infos)
	for _, d := range l.Damaged {
		if d.Info.Epoch > 0 {
			infos = append(infos, d.Info)
		}
	}
	for _, i := range infos {
		s, err := repo.Snapshot(ctx, i.ID)
		if err == nil {
			err = repo.Whole(ctx, repository.Node{Type: "dir", Subtree: s.Tree}, lost)
		}
		if repository.IsDamage(err) {
			bad[i.ID] = err.Error()
		} else if err != nil {
			return nil, err
		}
	}
	return bad, nil
}
