package twin

import (
	"context"
	"path"
	"strings"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lab/twin/branch"
	"salvor/internal/placement"
	"salvor/internal/record"
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
		Keys:  func(context.Context) (sign.Keys, error) { return sign.Keys{r.w.key.Public()}, nil },
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

func (r *recorder) owner(by record.Ruling) deploy.Owner {
	o := deploy.Owner{Host: by.Owner, Key: by.Key, Epoch: by.Epoch}
	for name, key := range r.w.recipients {
		if by.Key != "" && key == by.Key {
			o.Host = name
		}
	}
	return o
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
			owners[stack] = r.owner(record.Rule(claims, r.clone.OnBranch))
		}
		return nil
	})
	return owners, err
}

// Claim implements deploy.Record.
func (r *recorder) Claim(ctx context.Context, stack string, epoch int, host, commit string) error {
	return r.with(ctx, func(rec *record.Record) error {
		want := record.Claim{Epoch: epoch, Host: host, Key: r.w.recipients[host], Sign: r.w.signers[host], Commit: commit, At: time.Now().UTC()}
		ruling, err := rec.Claim(ctx, stack, want, r.clone.OnBranch)
		if err != nil {
			return err
		}
		if owner := r.owner(ruling); owner != (deploy.Owner{Host: host, Key: want.Key, Epoch: epoch}) {
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
	var used []string
	for _, t := range r.fleet.Snapshots {
		folder, err := r.open(ctx, fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack)})
		if err != nil {
			return nil, err
		}
		objects, err := folder.List(ctx, "")
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if id, rest, _ := strings.Cut(o.Path, "/"); strings.HasPrefix(rest, "snapshots/") {
				used = append(used, t.Name+" "+id)
			}
		}
	}
	return used, nil
}

// Facts implements deploy.Record.
func (r *recorder) Facts(ctx context.Context, lock fleet.Lock) (found map[string][]placement.Learned, ignored []finding.Finding, _ error) {
	found = map[string][]placement.Learned{}
	err := r.with(ctx, func(rec *record.Record) error {
		for name := range lock.Stacks {
			facts, passed, err := rec.Facts(ctx, name, lock.Stacks[name].Epoch)
			if err != nil {
				return err
			}
			ignored = append(ignored, record.Findings(name, passed)...)
			for _, f := range facts {
				found[name] = append(found[name], placement.Learned{Host: f.Host, Epoch: f.Epoch, Images: f.Images, Born: f.Born, Wish: f.Wish})
			}
		}
		return nil
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

// Mirror implements deploy.Record: a world has no mirror.
func (r *recorder) Mirror(context.Context) error { return nil }
