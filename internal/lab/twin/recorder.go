package twin

import (
	"context"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lab/twin/branch"
	"salvor/internal/placement"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/sign"
)

// A recorder reaches the record and the snapshot targets as app's does. It implements
// deploy.Record.
type recorder struct {
	w     *world
	p     *process
	clone *branch.Clone
	fleet *fleet.Fleet
}

var _ deploy.Record = (*recorder)(nil)

func (r *recorder) trust() record.Trust {
	return record.Trust{
		Keys:  func() (sign.Keys, error) { return sign.Keys{r.w.key.Public()}, nil },
		Key:   func(context.Context) (sign.Key, error) { return r.w.key, nil },
		Hosts: r.w.signers,
	}
}

func (r *recorder) open(_ context.Context, where fleet.Location) (record.Folder, error) {
	return r.w.remote.Open(where.Path, r.w.toRemote(r.p)), nil
}

func (r *recorder) with(ctx context.Context, work func(*record.Record) error) error {
	site, err := record.Follow(ctx, r.fleet.Record, r.open, r.trust())
	if err != nil {
		return err
	}
	return work(site.Record(r.trust()))
}

// Owners implements deploy.Record.
func (r *recorder) Owners(ctx context.Context, stacks []string) (map[string]deploy.Owner, error) {
	owners := map[string]deploy.Owner{}
	err := r.with(ctx, func(rec *record.Record) error {
		for _, stack := range stacks {
			claims, _, err := rec.Claims(ctx, stack)
			if err != nil {
				return err
			}
			owners[stack] = recording.Owner(record.Rule(claims, r.clone.OnBranch), r.w.recipients)
		}
		return nil
	})
	return owners, err
}

// Claim implements deploy.Record.
func (r *recorder) Claim(ctx context.Context, stack string, epoch int, host, commit string) error {
	return r.with(ctx, func(rec *record.Record) error {
		want := record.Claim{Epoch: epoch, Host: host, Key: r.w.recipients[host], Sign: r.w.signers[host], Commit: commit, At: time.Now().UTC(), Ended: host == ""}
		ruling, err := rec.Claim(ctx, stack, want, r.clone.OnBranch)
		if err != nil {
			return err
		}
		if owner := recording.Owner(ruling, r.w.recipients); owner != (deploy.Owner{Host: host, Key: want.Key, Epoch: epoch}) {
			return deploy.Outrun(stack, owner)
		}
		return nil
	})
}

// Epoch implements deploy.Record.
func (r *recorder) Epoch(ctx context.Context, stack string) (epoch int, err error) {
	err = r.with(ctx, func(rec *record.Record) error {
		claims, _, err := rec.Claims(ctx, stack)
		if len(claims) > 0 {
			epoch = claims[0].Epoch
		}
		return err
	})
	return epoch, err
}

// Used implements deploy.Record.
func (r *recorder) Used(ctx context.Context, stack string) ([]string, error) {
	return recording.Used(ctx, r.fleet.Snapshots, stack, r.open)
}

// Facts implements deploy.Record.
func (r *recorder) Facts(ctx context.Context, lock fleet.Lock) (found map[string][]placement.Learned, ignored []finding.Finding, _ error) {
	err := r.with(ctx, func(rec *record.Record) (err error) {
		found, ignored, err = recording.Facts(ctx, rec, lock, r.fleet.Hosts)
		return err
	})
	return found, ignored, err
}

// Proven implements deploy.Record.
func (r *recorder) Proven(ctx context.Context, lock fleet.Lock) (map[string]map[string]fleet.Proven, []finding.Finding, error) {
	found := map[string]map[string]fleet.Proven{}
	err := r.with(ctx, func(rec *record.Record) error {
		for name, p := range lock.Stacks {
			proven, _, err := rec.Proven(ctx, name, p.Epoch)
			if err != nil {
				return err
			}
			found[name] = map[string]fleet.Proven{}
			for _, one := range proven {
				found[name][one.Repository] = fleet.Proven{Epoch: one.Epoch, Seq: one.Seq, ID: one.Snapshot}
			}
		}
		return nil
	})
	return found, nil, err
}

// Sizes implements deploy.Record: a world's hosts have room for everything.
func (r *recorder) Sizes(context.Context, fleet.Lock) (map[string]int64, error) { return nil, nil }

// Mirror implements deploy.Record: a world has no mirror.
func (r *recorder) Mirror(context.Context) error { return nil }
