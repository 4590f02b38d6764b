package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// fold commits what the hosts learned: digests of deployed images, volumes that
// came to life, by this run's receipts and by what earlier runs, cut short, left
// as facts on the record remote. What can't be folded now is folded by the next
// command, so it is a pending item and no error. applied is how the hosts' part ended.
func (s *Session) fold(ctx context.Context, r *Receipt, applied error) error {
	lock := learned(s.Lock, r.Hosts)
	if owing := s.owing(lock); len(owing.Stacks) > 0 {
		known, ignored, err := s.Record.Fold(ctx, owing)
		r.Findings = append(r.Findings, ignored...)
		if err != nil {
			r.Pending = append(r.Pending, fmt.Sprintf("cannot read the hosts' reports on the record remote (%v); the next salvor apply tries again", err))
		}
		for name, p := range known.Stacks {
			lock.Stacks[name] = filled(lock.Stacks[name], p, s.Stacks[name].Project.Services)
		}
	}
	lock, err := s.remembering(ctx, r, lock, applied == nil)
	if err != nil {
		r.Pending = append(r.Pending, fmt.Sprintf("cannot read on the record remote which snapshots were proven (%v); the next salvor apply tries again", err))
	}
	err = s.commitLock(ctx, r, map[string][]byte{}, lock, r.Kind+": hosts' reports")
	if errors.Is(err, controlrepo.ErrDiverged) {
		r.Pending = append(r.Pending, "someone else pushed in the meantime: git pull --rebase, then salvor apply records the hosts' reports")
		return nil
	}
	return err
}

// Settled reports whether a fleet with an empty plan has nothing left to record
// either: no commit waits for its push, the lock knows every volume and image, and
// every placement has its claim.
func (s *Session) Settled(ctx context.Context) (bool, error) {
	if s.Unsaid {
		return false, nil
	}
	published, err := s.Repo.Published(ctx)
	if err != nil || !published || len(s.owing(s.Lock).Stacks) > 0 || s.Fleet.Record.Remote == "" {
		return published && err == nil && len(s.owing(s.Lock).Stacks) == 0, err
	}
	owners, err := s.Record.Owners(ctx, slices.Sorted(maps.Keys(s.Lock.Stacks)))
	if err != nil {
		return false, nil // the run says so
	}
	for name, p := range s.Lock.Stacks {
		if o := owners[name]; !s.held[name] && (o.Epoch != p.Epoch || !s.is(o, p.Host)) {
			return false, nil
		}
	}
	next, _, err := s.proven(ctx, s.Lock)
	if err != nil {
		return true, nil //nolint:nilerr // the next apply asks again
	}
	return !due(s.Lock, next), nil
}

// filled adds to a placement what facts say and it lacks. Images that it pins
// stay: a rollback puts older ones there than the facts know.
func filled(p, known fleet.Placement, services []project.Service) fleet.Placement {
	images := maps.Clone(known.Images)
	maps.Copy(images, p.Images)
	for _, svc := range services {
		if !svc.Pinned(p.Images) && svc.Pinned(known.Images) {
			images[svc.Name] = known.Images[svc.Name]
		}
	}
	known.Images = images
	return known
}

// learned is the lock with what the receipts say.
func learned(was fleet.Lock, receipts []agentapi.HostReceipt) fleet.Lock {
	lock := was.Copy()
	for _, h := range receipts {
		for _, st := range h.Stacks {
			p, placed := lock.Stacks[st.Name]
			if !placed || p.Host != h.Host || p.Epoch != st.Epoch {
				continue
			}
			lock.Stacks[st.Name] = told(p, st)
		}
	}
	return lock
}

// owing returns the placements of which the lock lacks a born volume or the
// image that runs, or holds a wish that may be fulfilled: their host has not told yet, or nobody has listened.
func (s *Session) owing(lock fleet.Lock) fleet.Lock {
	found := fleet.Lock{Schema: lock.Schema, Stacks: map[string]fleet.Placement{}}
	for name, p := range lock.Stacks {
		st, declared := s.Stacks[name]
		if !declared || p.Stopped || s.held[name] {
			continue
		}
		unborn := slices.ContainsFunc(st.Volumes, func(v project.Volume) bool {
			return v.Protect == fleet.Snapshot && p.Volumes[v.Name].Born.IsZero()
		})
		unpinned := slices.ContainsFunc(st.Project.Services, func(svc project.Service) bool {
			return svc.Image != "" && !svc.Build && !svc.Idle && !svc.Pinned(p.Images)
		})
		if unborn || unpinned || p.Wish() != nil {
			found.Stacks[name] = p
		}
	}
	return found
}

// told is a placement with what its host said: the digests it runs, and the
// volumes that came to life. A volume is born once.
func told(p fleet.Placement, st agentapi.StackReceipt) fleet.Placement {
	p = clone(p)
	if len(st.Images) > 0 {
		p.Images = st.Images
	}
	if p.Restore != nil && p.Restore.ID == st.Wish {
		p.Restore = nil
	}
	for volume, born := range st.Born {
		if p.Volumes == nil {
			p.Volumes = map[string]fleet.VolumeState{}
		}
		if p.Volumes[volume].Born.IsZero() {
			p.Volumes[volume] = fleet.VolumeState{Born: born}
		}
	}
	return p
}

// lockFile returns the lock's file when next differs from was, else nothing.
func lockFile(was, next fleet.Lock) (map[string][]byte, error) {
	before, err := controlrepo.EncodeLock(was)
	if err != nil {
		return nil, err
	}
	after, err := controlrepo.EncodeLock(next)
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return map[string][]byte{controlrepo.LockFile: after}, nil
}
