package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/placement"
)

// An Owner is who has a stack by the claims on the record remote.
type Owner struct {
	Host  string // "" when it was never claimed, or its user has it
	Key   string // the host's recipient
	Epoch int    // 0: it was never claimed
}

// ErrOutrun means that another host has claimed a stack: it was placed there in a
// commit that is not here.
var ErrOutrun = errors.New("taken over by another host")

// Outrun returns the error that says who has a stack instead.
func Outrun(stack string, o Owner) error {
	if o.Host == "" {
		return fault.WithHint(fmt.Errorf("%s: %w: its placement ended at epoch %d, with salvor host release", stack, ErrOutrun, o.Epoch),
			"git pull --rebase, then salvor plan; to place it again, name a host in its Compose file")
	}
	return fault.WithHint(fmt.Errorf("%s: %w: %s claimed epoch %d", stack, ErrOutrun, o.Host, o.Epoch),
		"git pull --rebase, then salvor plan; if the commit that placed it there was never pushed, push it from there first")
}

// A takeover is what has to happen before the placements of a run hold.
type takeover struct {
	release     []former // that release their stacks first
	fence       []former // that may run stacks which are taken from them
	claim       []string // stacks whose claim is to be made
	unpublished bool     // a commit of an earlier run waits for the releases
}

// A former is a host that may have written to a stack since it was released.
type former struct {
	stack string
	host  string
	epoch int // at which it had the stack
	next  int // at which the stack is taken over
}

// TakeOver finds out who has the stacks that the run is about: also a placement that
// was committed by a run interrupted has a former host, which may have started the
// stack again since. An operator whose clone is behind learns it here, before anything
// is stopped.
func (r *Run) TakeOver(ctx context.Context) error {
	if err := r.weigh(ctx); err != nil {
		if behind := r.Repo.Behind(ctx); errors.Is(behind, git.ErrDiverged) {
			return behind
		}
		return err
	}
	published, err := r.Repo.Published(ctx)
	if err != nil {
		return err
	}
	if !published && len(r.due.release) > 0 {
		r.due.unpublished = true
		return r.Repo.Behind(ctx)
	}
	name := "push"
	if published {
		name = "ask Git" // nothing is published: a push of nothing finds out whether someone else was faster
	}
	return r.push(ctx, name)
}

func (r *Run) weigh(ctx context.Context) error {
	for _, m := range r.Moves {
		if m.From != "" {
			r.takeFrom(former{stack: m.Stack, host: m.From, epoch: m.Epoch - 1, next: m.Epoch})
		}
	}
	r.due.claim = r.startable()
	if r.Fleet.Record.Remote == "" {
		return nil
	}
	names := r.concerned()
	owners, err := r.Record.Owners(ctx, names)
	if err != nil && len(r.due.claim) == 0 {
		r.Leave(fmt.Sprintf("cannot read the claims on the record remote (%v); the next salvor apply tries again", err))
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.weighOne(name, r.Next.Stacks[name], owners[name]); err != nil {
			return err
		}
	}
	slices.Sort(r.due.claim)
	r.due.claim = slices.Compact(r.due.claim)
	return nil
}

func (r *Run) weighOne(name string, p fleet.Placement, owner Owner) error {
	mine := r.is(owner, p.Host)
	switch {
	case r.outrun(p, owner):
		return Outrun(name, owner)
	case owner.Epoch == p.Epoch && mine && !r.moves(name):
		r.due.claim = slices.DeleteFunc(r.due.claim, func(c string) bool { return c == name })
	case owner.Epoch < p.Epoch:
		r.due.claim = append(r.due.claim, name)
	}
	if owner.Host != "" && owner.Epoch < p.Epoch && (!mine || r.Lost == p.Host) && !r.runsAsPlaced(name, p.Host) {
		r.takeFrom(former{stack: name, host: owner.Host, epoch: owner.Epoch, next: p.Epoch})
	}
	if r.Lost != "" && owner.Epoch == p.Epoch {
		r.takeFrom(former{stack: name, host: r.Lost, next: p.Epoch}) // a recovery that was interrupted
	}
	return nil
}

// Unclaimed returns the stacks whose placement has no claim of its own: another has the
// stack by the claims, or none. A fleet without a record has no claims, so nothing is unclaimed.
func (s *Session) Unclaimed(ctx context.Context) ([]string, error) {
	if s.Fleet.Record.Remote == "" {
		return nil, nil
	}
	names := slices.Sorted(maps.Keys(s.Lock.Stacks))
	owners, err := s.Record.Owners(ctx, names)
	return slices.DeleteFunc(names, func(name string) bool {
		o, p := owners[name], s.Lock.Stacks[name]
		return s.held[name] || o.Epoch == p.Epoch && s.is(o, p.Host)
	}), err
}

// moves reports whether the run moves a stack.
func (r *Run) moves(stack string) bool {
	return slices.ContainsFunc(r.Moves, func(m placement.Move) bool { return m.Stack == stack })
}

// runsAsPlaced reports whether a host was seen to run a stack at its placement's
// epoch. Then the claim of that epoch was there, and the remote has lost it: the
// previous host released it, or was fenced, and has nothing newer.
func (r *Run) runsAsPlaced(stack, host string) bool {
	i := slices.IndexFunc(r.Plan.Hosts, func(hp HostPlan) bool { return hp.worksOn(host) })
	return i >= 0 && !r.Unplanned && !r.Plan.Hosts[i].New && !r.Plan.Hosts[i].changes(stack)
}

// takeFrom has a former host release the stack, or fences it where it is lost: what it
// wrote since the newest snapshot is given up.
func (r *Run) takeFrom(f former) {
	to := &r.due.release
	if r.Lost != "" && (r.moves(f.stack) || f.host == r.Lost) {
		to = &r.due.fence
	}
	same := func(have former) bool { return have.stack == f.stack && have.host == f.host }
	*to = append(slices.DeleteFunc(*to, same), f)
}

// is reports whether an owner is a declared host.
func (s *Session) is(o Owner, host string) bool {
	if key := s.Keys[host]; key != "" && o.Key != "" {
		return key == o.Key
	}
	return o.Host == host
}

// concerned returns the stacks that the run may start: those that move, and those
// placed on the hosts that it works on.
func (r *Run) concerned() []string {
	return r.placed(func(stack, host string) bool {
		return r.moves(stack) || slices.ContainsFunc(r.Plan.Hosts, func(hp HostPlan) bool { return hp.worksOn(host) })
	})
}

// startable returns the placed stacks that a host of the plan is about to change: a
// stack whose claim is missing was not started, so it is among them.
func (r *Run) startable() []string {
	return r.placed(func(stack, host string) bool {
		return slices.ContainsFunc(r.Moves, func(m placement.Move) bool { return m.Stack == stack && m.To != "" }) ||
			slices.ContainsFunc(r.Plan.Hosts, func(hp HostPlan) bool {
				return hp.worksOn(host) && (hp.New || r.Unplanned || hp.changes(stack))
			})
	})
}

// placed returns the stacks of the next lock that match, without those held back, sorted.
func (r *Run) placed(matches func(stack, host string) bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.Next.Stacks)) {
		if !r.held[name] && matches(name, r.Next.Stacks[name].Host) {
			names = append(names, name)
		}
	}
	return names
}

// worksOn reports whether this is the plan of a host that can be worked on.
func (hp HostPlan) worksOn(host string) bool { return hp.Host == host && hp.Unreachable == "" }

// changes reports whether the plan changes a stack.
func (hp HostPlan) changes(stack string) bool {
	return slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool { return c.Stack == stack })
}
