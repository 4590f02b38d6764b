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
	Host  string // "" when nobody ever claimed it
	Key   string // the host's recipient
	Epoch int    // 0: nobody ever claimed it
}

// ErrOutrun means that another host has claimed a stack: somebody else placed it
// there, in a commit that is not here.
var ErrOutrun = errors.New("taken over by another host")

// Outrun returns the error that says who has a stack instead.
func Outrun(stack string, o Owner) error {
	return fault.WithHint(fmt.Errorf("%s: %w: %s claimed epoch %d", stack, ErrOutrun, o.Host, o.Epoch),
		"git pull --rebase, then salvor plan; if the commit that placed it there was never pushed, push it from there first")
}

// A takeover is what has to happen before the placements of a run hold.
type takeover struct {
	release     []former // that let go of their stacks first
	fence       []former // that may run stacks which are taken from them
	claim       []string // stacks whose claim is to be made
	unpublished bool     // a commit of an earlier run waits for the releases
}

// A former is a host that may have written to a stack since it was let go of.
type former struct {
	stack string
	host  string
	epoch int // at which it had the stack
	next  int // at which the stack is taken over
}

// takeover finds out who has the stacks that a run is about: also a placement that
// was committed by a run cut short has a former host, which may have started the
// stack again since. Whoever is behind learns it here, before anything is stopped.
func (s *Session) takeover(ctx context.Context, r *Receipt, plan Plan, next fleet.Lock, o Options) (takeover, error) {
	t, err := s.weigh(ctx, r, plan, next, o)
	if err != nil {
		if behind := s.Repo.Behind(ctx); errors.Is(behind, git.ErrDiverged) {
			return t, behind
		}
		return t, err
	}
	published, err := s.Repo.Published(ctx)
	if err != nil {
		return t, err
	}
	if !published && len(t.release) > 0 {
		t.unpublished = true
		return t, s.Repo.Behind(ctx)
	}
	return t, s.push(ctx, r)
}

func (s *Session) weigh(ctx context.Context, r *Receipt, plan Plan, next fleet.Lock, o Options) (t takeover, err error) {
	for _, m := range o.Moves {
		if m.From != "" {
			t.add(former{stack: m.Stack, host: m.From, epoch: m.Epoch - 1, next: m.Epoch}, o)
		}
	}
	t.claim = s.owed(plan, next, o)
	if s.Fleet.Record.Remote == "" {
		return t, nil
	}
	names := s.concerned(plan, next, o)
	owners, err := s.Record.Owners(ctx, names)
	if err != nil && len(t.claim) == 0 {
		r.Pending = append(r.Pending, fmt.Sprintf("cannot read the claims on the record remote (%v); the next salvor apply tries again", err))
		return t, nil
	}
	if err != nil {
		return t, err
	}
	for _, name := range names {
		if err := s.weighOne(&t, plan, name, next.Stacks[name], owners[name], o); err != nil {
			return t, err
		}
	}
	slices.Sort(t.claim)
	t.claim = slices.Compact(t.claim)
	return t, nil
}

func (s *Session) weighOne(t *takeover, plan Plan, name string, p fleet.Placement, owner Owner, o Options) error {
	mine := s.is(owner, p.Host)
	switch {
	case s.outrun(p, owner):
		return Outrun(name, owner)
	case owner.Epoch == p.Epoch && mine && !slices.ContainsFunc(o.Moves, func(m placement.Move) bool { return m.Stack == name }):
		t.claim = slices.DeleteFunc(t.claim, func(c string) bool { return c == name })
	case owner.Epoch < p.Epoch:
		t.claim = append(t.claim, name)
	}
	if owner.Epoch > 0 && owner.Epoch < p.Epoch && (!mine || o.Lost == p.Host) && !runsAsPlaced(plan, name, p.Host, o) {
		t.add(former{stack: name, host: owner.Host, epoch: owner.Epoch, next: p.Epoch}, o)
	}
	if o.Lost != "" && owner.Epoch == p.Epoch {
		t.add(former{stack: name, host: o.Lost, next: p.Epoch}, o) // a recovery that was cut short
	}
	return nil
}

// runsAsPlaced reports whether a host was seen to run a stack at its placement's
// epoch. Then the claim of that epoch was there, and the remote has lost it: who had
// the stack before let go of it, or was fenced, and has nothing that is newer.
func runsAsPlaced(plan Plan, stack, host string, o Options) bool {
	i := slices.IndexFunc(plan.Hosts, func(hp HostPlan) bool { return worksOn(hp, host, o) })
	return i >= 0 && !o.NoPrints && !plan.Hosts[i].New &&
		!slices.ContainsFunc(plan.Hosts[i].Changes, func(c agentapi.Change) bool { return c.Stack == stack })
}

// add has a former host release the stack, or fences it where it is lost: what it
// wrote since the newest snapshot is given up.
func (t *takeover) add(f former, o Options) {
	to := &t.release
	moves := slices.ContainsFunc(o.Moves, func(m placement.Move) bool { return m.Stack == f.stack })
	if o.Lost != "" && (moves || f.host == o.Lost) {
		to = &t.fence
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

// concerned returns the stacks that a run may start: those that move, and those
// placed on the hosts that it works on.
func (s *Session) concerned(plan Plan, next fleet.Lock, o Options) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(next.Stacks)) {
		if s.held[name] {
			continue
		}
		moves := slices.ContainsFunc(o.Moves, func(m placement.Move) bool { return m.Stack == name })
		if moves || slices.ContainsFunc(plan.Hosts, func(hp HostPlan) bool { return worksOn(hp, next.Stacks[name].Host, o) }) {
			names = append(names, name)
		}
	}
	return names
}

func worksOn(hp HostPlan, host string, o Options) bool {
	return hp.Host == host && hp.Unreachable == "" && (o.Hosts == nil || slices.Contains(o.Hosts, hp.Host))
}

// owed returns the placed stacks that a host of the plan is about to change: a
// stack whose claim is missing was not started, so it is among them.
func (s *Session) owed(plan Plan, next fleet.Lock, o Options) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(next.Stacks)) {
		if s.held[name] {
			continue
		}
		moved := slices.ContainsFunc(o.Moves, func(m placement.Move) bool { return m.Stack == name && m.To != "" })
		if moved || slices.ContainsFunc(plan.Hosts, func(hp HostPlan) bool {
			changes := slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool { return c.Stack == name })
			return worksOn(hp, next.Stacks[name].Host, o) && (hp.New || o.NoPrints || changes)
		}) {
			names = append(names, name)
		}
	}
	return names
}

// release has former hosts stop their stacks and read the final snapshot back.
// Nothing is published or claimed before every one of them has.
func (s *Session) release(ctx context.Context, r *Receipt, leaving []former) error {
	if len(leaving) == 0 {
		return nil
	}
	return s.phase(ctx, r, "release", func() error {
		var g group
		for _, f := range leaving {
			g.Go(func() error { return s.releaseOne(ctx, f) })
		}
		return g.Wait()
	})
}

func (s *Session) releaseOne(ctx context.Context, f former) error {
	from, declared := s.Fleet.Host(f.host)
	if !declared {
		return fault.WithHint(fmt.Errorf("%s is placed on %s, which is no longer declared", f.stack, f.host),
			fmt.Sprintf("put hosts.%s back into fleet.yaml and commit; then salvor apply, or, if the host is lost: salvor recover %s --to HOST", f.host, f.host))
	}
	link, err := s.Hosts.Dial(ctx, from)
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s can't move: %w", f.stack, err), fmt.Sprintf("if %s is lost: salvor recover %s --to HOST", f.host, f.host))
	}
	req := agentapi.Release{Stack: f.stack, Epoch: f.epoch, Owner: s.Owner, Message: "move " + f.stack}
	var receipt agentapi.SnapshotReceipt
	return s.call(ctx, link, agentapi.VerbRelease, req, &receipt)
}

// claim makes the claims. Where two operators race, both begin with the same stack:
// who loses that one has claimed nothing else.
func (s *Session) claim(ctx context.Context, r *Receipt, due []string) error {
	if len(due) == 0 {
		return nil
	}
	one := func(name string) error {
		p := s.Lock.Stacks[name]
		return s.Record.Claim(ctx, name, p.Epoch, p.Host, s.Commit)
	}
	err := s.phase(ctx, r, "claim", func() error {
		if err := one(due[0]); err != nil {
			return err
		}
		var g group
		for _, name := range due[1:] {
			g.Go(func() error { return one(name) })
		}
		return g.Wait()
	})
	if fault.Hint(err) == "" {
		err = fault.WithHint(err, "the placements are committed; run the same command again to continue")
	}
	return err
}

// withdraw takes the commit of a run back that lost its stacks to another while the
// Git host was away: pushed, it would stop what runs there.
func (s *Session) withdraw(ctx context.Context, r *Receipt, lost error) error {
	r.Pending = slices.DeleteFunc(r.Pending, func(p string) bool { return p == pushLater })
	undone, err := s.Repo.Uncommit(context.WithoutCancel(ctx))
	hint := "the commit of this run was undone; when the Git host is back: git pull --rebase, then salvor plan"
	if !undone {
		hint = "do not push your unpushed commits: git reset --keep @{upstream} undoes them"
	}
	return errors.Join(fault.WithHint(lost, hint), err)
}
