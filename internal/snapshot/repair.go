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

// A repairer makes a repository whole.
type repairer struct {
	engine     Engine
	repository Repository
	repo       *repository.Repository
	claim      Claim // its Holds may be nil for always
}

// heal makes the repository whole before a snapshot rests on it, and returns how many
// of its parts were damaged. What is lost of it leaves the index, so that restic uploads
// it again where the host still has it; of damaged packs the rest is kept.
func (r repairer) heal(ctx context.Context, l Listing, suspects []string) (repaired int, err error) {
	loss, packs, err := r.repo.Survey(ctx)
	if err != nil {
		return 0, err
	}
	bad, err := r.damaged(ctx, loss, suspects)
	if err != nil {
		return 0, err
	}
	unnamed, err := r.unnamed(ctx, l, packs)
	if err != nil || len(bad)+unnamed == 0 && loss.None() {
		return 0, err
	}
	lost := len(bad) + len(loss.Packs) + len(loss.Indexes) + unnamed
	if r.repository.appends {
		return 0, fault.WithHint(fmt.Errorf("the repository has lost %d of its parts, and its target is append-only: the host can't repair it", lost),
			"salvor snapshot prune "+r.claim.Stack+", then salvor snapshot take "+r.claim.Stack+" uploads again what the host still has")
	}
	end := r.engine.scope(r.claim.Stack).Step("repair the repository", "")
	err = r.salvage(ctx, bad)
	end(err, "")
	return lost, err
}

// unnamed counts the packs that no index names, where a snapshot needs what no index
// names: then an index is lost whole. Without such a snapshot they are what an upload
// left that was interrupted.
func (r repairer) unnamed(ctx context.Context, l Listing, packs []blob.Object) (int, error) {
	known := r.repo.Packs()
	count := 0
	for _, o := range packs {
		if _, ok := known[path.Base(o.Path)]; !ok {
			count++
		}
	}
	if count == 0 {
		return 0, nil
	}
	for _, i := range l.Infos {
		s, err := r.repo.Snapshot(ctx, i.ID)
		if err == nil {
			err = r.repo.Named(ctx, s.Tree)
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

// damaged returns the packs that are there and do not hold what they should: those
// interrupted, and of those that the caller suspects the ones that differ.
func (r repairer) damaged(ctx context.Context, loss repository.Loss, suspects []string) ([]string, error) {
	var bad []string
	lost := map[string]bool{}
	for _, d := range loss.Packs {
		lost[d.ID] = true
		bad = append(bad, d.ID)
	}
	used := r.repo.Packs()
	for _, id := range suspects {
		if _, known := used[id]; !known || lost[id] {
			continue
		}
		err := r.repo.PackIntact(ctx, id)
		if repository.IsDamage(err) {
			bad = append(bad, id)
		} else if err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// salvage keeps what is good of damaged packs and rebuilds the index.
func (r repairer) salvage(ctx context.Context, packs []string) error {
	for _, id := range packs {
		if err := r.repo.Salvage(ctx, id); err != nil {
			return err
		}
	}
	if err := r.rebuildIndex(ctx); err != nil {
		return fmt.Errorf("repair the index: %w", err)
	}
	loss, _, err := r.repo.Survey(ctx)
	return errors.Join(err, loss.Err())
}

func (r repairer) rebuildIndex(ctx context.Context) (err error) {
	if err := unlock(ctx, r.repository, r.repo, r.claim.Epoch); err != nil {
		return err
	}
	ctx, s, err := r.engine.open(ctx, r.repository, restserver.Options{Mode: restserver.Full, Holds: r.claim.Holds}, r.claim.Epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(withCause(ctx, err), s.close()) }()
	return s.program.RepairIndex(ctx, s.repo)
}

// damagedSnapshots returns which snapshots of a listing can't be restored whole, and
// why. It reads every folder of every snapshot.
func damagedSnapshots(ctx context.Context, repo *repository.Repository, l Listing, lost []repository.Damaged) (map[string]string, error) {
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
