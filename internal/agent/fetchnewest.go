package agent

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/snapshot"
)

// fetchNewest downloads the newest snapshot that is whole on some target. Newer ones
// that are damaged are skipped, and the receipt names them.
func (r *run) fetchNewest(ctx context.Context, s *Stack, volumes []snapshot.Volume, database snapshot.Database) (*snapshot.Fetched, error) {
	listed, err := r.found(ctx, s)
	if errors.Is(err, errMissing) {
		return nil, err
	}
	all := candidates(listed)
	if len(all) == 0 {
		return nil, errors.Join(err, damaged(listed), fmt.Errorf("%s: %w", s.Name, snapshot.ErrNoSnapshot))
	}
	var passed []snapshot.Damaged
	var errs []error
	for _, c := range all {
		fetched, err := r.fetchFrom(ctx, s, c, volumes, database)
		if err == nil {
			if m := s.access.givenUp; !m.Zero() {
				r.warn(s.Name, lossAccepted(r.spec.Name, s.Name, m, c.info))
			}
			r.warnPassed(s.Name, append(newer(listed, c.info), passed...), c.info)
			return fetched, nil
		}
		if !snapshot.IsDamage(err) {
			return nil, err
		}
		passed = append(passed, snapshot.Damaged{Info: c.info, Reason: err.Error()})
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (r *run) fetchFrom(ctx context.Context, s *Stack, c candidate, volumes []snapshot.Volume, database snapshot.Database) (*snapshot.Fetched, error) {
	repo, err := r.repository(ctx, s, c.target)
	if err != nil {
		return nil, err
	}
	defer repo.close(ctx) //nolint:errcheck // only read from
	job := r.restoreJob(s, repo, c.info.ID, volumes, database)
	job.Hold = r.hold
	fetched, err := r.download(ctx, s, job)
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
func (r *run) warnPassed(stack string, passed []snapshot.Damaged, taken snapshot.Info) {
	for _, d := range passed {
		r.warn(stack, finding.Finding{
			Code: finding.SnapshotDamaged, Severity: finding.Warning, Subject: r.spec.Name + "/" + stack,
			Text: fmt.Sprintf("snapshot %.8s can't be restored and was skipped; %.8s was used instead: %s", d.Info.ID, taken.ID, d.Reason),
			Fix:  "salvor snapshot take " + stack + " takes a new one of the data on the host now",
		})
	}
}
