package startup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agent/keeper"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/snapshot"
)

// FetchNewest downloads the newest snapshot that is whole on some target, to a place next to
// the volumes, which stay as they are. Newer ones that are damaged are skipped, and the
// receipt names them. The error wraps keeper.ErrMissing where one is known to have been
// proven that no target lists, and snapshot.ErrNoSnapshot where there is none.
func (s *Start) FetchNewest(ctx context.Context, volumes []snapshot.Volume, database snapshot.Database) (*snapshot.Fetched, error) {
	listed, err := keeper.ArchiveOf(s.Stack).ListForRestore(ctx)
	if errors.Is(err, keeper.ErrMissing) {
		return nil, err
	}
	all := keeper.Candidates(listed)
	if len(all) == 0 {
		return nil, errors.Join(err, keeper.Damaged(listed), fmt.Errorf("%s: %w", s.Name, snapshot.ErrNoSnapshot))
	}
	var passed []snapshot.Damaged
	var errs []error
	for _, c := range all {
		fetched, err := s.fetchFrom(ctx, c, volumes, database)
		if err == nil {
			if m := s.Access.GivenUp; !m.Zero() {
				s.Run.Warn(s.Name, keeper.LossAccepted(s.Run.Spec.Name, s.Name, m, c.Info))
			}
			for _, f := range keeper.ArchiveOf(s.Stack).Unheard(listed, c, time.Now()) {
				s.Run.Warn(s.Name, f)
			}
			s.Run.warnPassed(s.Name, append(keeper.Newer(listed, c.Info), passed...), c.Info)
			return fetched, nil
		}
		if !snapshot.IsDamage(err) {
			return nil, err
		}
		passed = append(passed, snapshot.Damaged{Info: c.Info, Reason: err.Error()})
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (s *Start) fetchFrom(ctx context.Context, c keeper.Candidate, volumes []snapshot.Volume, database snapshot.Database) (*snapshot.Fetched, error) {
	repo, err := keeper.ArchiveOf(s.Stack).Repository(ctx, c.Target)
	if err != nil {
		return nil, err
	}
	defer repo.Close(ctx) // only read from
	job := s.restoreJob(repo, c.Info.ID, volumes, database)
	job.Hold = s.Run.holdForEngine
	fetched, err := s.download(ctx, job)
	return fetched, hinted(s.Name, err)
}

// hinted adds to a restore that failed what the operator can do about it.
func hinted(stack string, err error) error {
	switch {
	case errors.Is(err, snapshot.ErrNoRoom):
		return fault.WithHint(err, "make room, then salvor apply")
	case snapshot.IsDamage(err):
		return fault.WithHint(err, fmt.Sprintf("salvor snapshot ls %s lists the others; salvor restore %s --snapshot ID restores one", stack, stack))
	}
	return err
}

// warnPassed reports which newer snapshots were skipped.
func (r *Run) warnPassed(stack string, passed []snapshot.Damaged, taken snapshot.Info) {
	for _, d := range passed {
		r.Warn(stack, finding.Finding{
			Code: finding.SnapshotDamaged, Severity: finding.Warning, Subject: r.Spec.Name + "/" + stack,
			Text: fmt.Sprintf("snapshot %.8s can't be restored and was skipped; %.8s was used instead: %s", d.Info.ID, taken.ID, d.Reason),
			Fix:  "salvor snapshot take " + stack + " takes a new one of the data on the host now",
		})
	}
}
