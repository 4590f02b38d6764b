package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/project"
)

// fold commits what the hosts learned: digests of deployed images, volumes that came
// to life, by this run's receipts and by what earlier runs, interrupted, left as facts
// on the record remote. What can't be folded now is folded by the next command, so it
// is a pending item and no error. applied is how the hosts' part ended.
func (r *Run) fold(ctx context.Context, applied error) error {
	lock := r.Lock
	if r.forgotten {
		lock = withoutNode(lock, r.Lost)
	}
	lock = learned(r.Plan.pinned(lock), r.receipt.Hosts)
	if unknown := r.unlearned(lock); len(unknown.Stacks) > 0 {
		facts, ignored, err := r.Record.Facts(ctx, unknown)
		r.receipt.Findings = append(r.receipt.Findings, ignored...)
		if err != nil {
			r.Leave(fmt.Sprintf("cannot read the hosts' reports on the record remote (%v); the next salvor apply tries again", err))
		}
		for name, p := range unknown.Stacks {
			lock = placement.Fold(lock, name, unpinned(facts[name], p, r.Stacks[name].Project.Services)...)
		}
	}
	lock, err := r.remembering(ctx, lock, applied == nil)
	if err != nil {
		r.Leave(fmt.Sprintf("cannot read on the record remote which snapshots were proven (%v); the next salvor apply tries again", err))
	}
	err = r.commitLock(ctx, map[string][]byte{}, lock, string(r.Kind)+": hosts' reports")
	if errors.Is(err, git.ErrDiverged) {
		r.Leave("someone else pushed in the meantime: git pull --rebase, then salvor apply records the hosts' reports")
		return nil
	}
	return err
}

// carryBirths takes along which volumes of moving stacks have come to life, where only a report
// on the record remote says so: it counts at its own epoch, which ends here. Without it the
// next host would take the volume for new, and refuse to start beside its snapshots. A
// lost host's stacks are moved whatever its reports say.
func carryBirths(ctx context.Context, r *Run) error {
	unknown := r.unlearned(r.Lock)
	maps.DeleteFunc(unknown.Stacks, func(name string, _ fleet.Placement) bool { return !r.moves(name) })
	if len(unknown.Stacks) == 0 {
		return nil
	}
	facts, ignored, err := r.Record.Facts(ctx, unknown)
	r.receipt.Findings = append(r.receipt.Findings, ignored...)
	switch {
	case err != nil && r.Lost != "":
		r.Leave(fmt.Sprintf("cannot read the hosts' reports on the record remote (%v); where a volume is refused as new: salvor apply --restore STACK", err))
		return nil
	case err != nil:
		return fmt.Errorf("cannot read the hosts' reports on the record remote: %w", err)
	}
	for name := range unknown.Stacks {
		r.Next = placement.Carry(r.Next, r.Lock, name, facts[name]...)
	}
	return nil
}

// Settled reports whether a fleet with an empty plan has nothing left to record
// either: no commit waits for its push, the lock knows every volume and image, and
// every placement has its claim.
func (s *Session) Settled(ctx context.Context) (bool, error) {
	if s.Unrecorded {
		return false, nil
	}
	published, err := s.Repo.Published(ctx)
	if err != nil || !published || len(s.unlearned(s.Lock).Stacks) > 0 || s.Fleet.Record.Remote == "" {
		return published && err == nil && len(s.unlearned(s.Lock).Stacks) == 0, err
	}
	if open, err := s.Unclaimed(ctx); err != nil || len(open) > 0 {
		return false, nil //nolint:nilerr // the run says so
	}
	next, _, err := s.proven(ctx, s.Lock)
	if err != nil {
		return true, nil //nolint:nilerr // the next apply asks again
	}
	return !due(s.Lock, next), nil
}

// unpinned leaves out of facts the images of services that a placement pins as the
// project names them: a rollback puts older ones there than the facts know.
func unpinned(facts []placement.Learned, p fleet.Placement, services []project.Service) []placement.Learned {
	open := map[string]project.Service{}
	for _, svc := range services {
		if !svc.Pinned(p.Images) {
			open[svc.Name] = svc
		}
	}
	facts = slices.Clone(facts)
	for i := range facts {
		images := maps.Clone(facts[i].Images)
		maps.DeleteFunc(images, func(service, _ string) bool {
			svc, isOpen := open[service]
			newer := isOpen && svc.Pinned(images)
			return p.Images[service] != "" && !newer
		})
		facts[i].Images = images
	}
	return facts
}

// learned is the lock with what the receipts say.
func learned(lock fleet.Lock, receipts []agentapi.HostReceipt) fleet.Lock {
	for _, h := range receipts {
		lock = pinned(withNode(lock, h), h.Host, h.Projects)
		for _, st := range h.Stacks {
			lock = placement.Fold(lock, st.Name, placement.Learned{Host: h.Host, Epoch: st.Epoch, Images: st.Images, Whole: true, Born: st.Born, Wish: st.Wish})
		}
	}
	return lock
}

// pinned is the lock with the images of hosts' own projects, as the hosts said when the plan
// was made: an apply may end before it is known which one runs.
func (p *Plan) pinned(lock fleet.Lock) fleet.Lock {
	for _, h := range p.Hosts {
		lock = pinned(lock, h.Host, h.Projects)
	}
	return lock
}

// Pins reports whether a host runs an image in a project of its own that the lock does not have.
func (p *Plan) Pins(lock fleet.Lock) bool {
	return !reflect.DeepEqual(lock.Hosts, p.pinned(lock).Hosts)
}

// pinned is the lock with the images of a host's own projects.
func pinned(lock fleet.Lock, host string, projects []agentapi.OwnProject) fleet.Lock {
	images := map[string]string{}
	for _, p := range projects {
		images[p.Name] = p.Image
	}
	return placement.Fold(lock, fleet.Own(host), placement.Learned{Host: host, Epoch: lock.Hosts[host].Epoch, Images: images})
}

// unlearned returns the placements of which the lock lacks a born volume or the image that runs, or holds a
// wish that may be fulfilled: their host has not reported it yet, or its report was not received.
func (s *Session) unlearned(lock fleet.Lock) fleet.Lock {
	return placement.Only(lock, func(name string, p fleet.Placement) bool {
		st, declared := s.Stacks[name]
		if !declared || p.Stopped || s.held[name] {
			return false
		}
		unborn := slices.ContainsFunc(st.Volumes, func(v project.Volume) bool {
			return v.Protect == fleet.Snapshot && p.Volumes[v.Name].Born.IsZero()
		})
		unpinned := slices.ContainsFunc(st.Project.Services, func(svc project.Service) bool {
			return svc.Image != "" && !svc.Build && !svc.Idle && !svc.Pinned(p.Images)
		})
		return unborn || unpinned || p.Wish() != nil
	})
}

// lockFile returns the lock's file when next differs from was, else nothing.
func lockFile(was, next fleet.Lock) (map[string][]byte, error) {
	before, err := lockfile.Encode(was)
	if err != nil {
		return nil, err
	}
	after, err := lockfile.Encode(next)
	if err != nil || bytes.Equal(before, after) {
		return nil, err
	}
	return map[string][]byte{lockfile.Name: after}, nil
}

// mirror copies what was committed to the record remote. A mirror that is late
// is a pending item and no error: nothing that runs depends on it.
func (r *Run) mirror(ctx context.Context) {
	if r.Fleet.Record.Remote == "" {
		return
	}
	if err := r.phase(ctx, "mirror the repository", func() error { return r.Record.Mirror(ctx) }); err != nil {
		r.Leave(fmt.Sprintf("the repository's mirror on the record remote was not updated (%v); the next salvor apply tries again", err))
	}
}
