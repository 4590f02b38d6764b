package deploy

import (
	"context"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
)

// Down declares a stack stopped, in a commit, and has its host stop it.
func (s *Session) Down(ctx context.Context, stack string) (Receipt, error) {
	return s.amend(ctx, KindDown, stack, placement.Stop)
}

// Up takes back a Down.
func (s *Session) Up(ctx context.Context, stack string) (Receipt, error) {
	return s.amend(ctx, KindUp, stack, placement.Start)
}

// Restore has a stack's volumes go back to a snapshot, given by its full id. The wish
// is part of the commit, so a run that is interrupted is finished by this one again,
// by the next apply, or by the host when it boots.
func (s *Session) Restore(ctx context.Context, stack, snapshot string) (Receipt, error) {
	p := s.Lock.Stacks[stack]
	goOn := p.Wish() != nil && goesOn(p.Wish(), snapshot, s.standing(ctx, p.Host, stack))
	return s.amend(ctx, KindRestore, stack, func(lock fleet.Lock, stack string) fleet.Lock {
		lock = placement.Start(lock, stack)
		if goOn {
			return lock
		}
		return placement.Restore(lock, stack, snapshot)
	})
}

// goesOn reports whether asking for a snapshot means a wish that stands already:
// one for the same snapshot that its host has neither fulfilled nor failed at. A
// host that does not say counts as one that has done nothing yet.
func goesOn(wish *fleet.Restore, snapshot string, told *agentapi.Wish) bool {
	return wish.Snapshot == snapshot && (told == nil || told.ID != wish.ID || told.State == agentapi.WishPending)
}

// standing asks a stack's host for the state of its wish; nil if it does not report it.
func (s *Session) standing(ctx context.Context, host, stack string) *agentapi.Wish {
	for _, st := range s.ObserveSome(ctx, s.Lock, host)[host].State.Stacks {
		if st.Name == stack {
			return st.Wish
		}
	}
	return nil
}

// Withdraw takes back a Restore that is not fulfilled.
func (s *Session) Withdraw(ctx context.Context, stack string) (Receipt, error) {
	p := s.Lock.Stacks[stack]
	if p.Restore == nil {
		return Receipt{}, fault.WithHint(fmt.Errorf("stack %s has no pending restore", stack), "salvor status")
	}
	return s.amend(ctx, KindWithdraw, stack, placement.Withdraw)
}

// amend changes one placement where it is and has its host apply the commit.
func (s *Session) amend(ctx context.Context, kind Kind, stack string, change func(lock fleet.Lock, stack string) fleet.Lock) (Receipt, error) {
	p, err := placement.Of(s.Lock, stack)
	if err != nil {
		return Receipt{}, err
	}
	return s.Apply(ctx, s.OnHost(p.Host), change(s.Lock, stack), Options{Kind: kind, Message: string(kind) + ": " + stack, Asked: []string{stack}, Unplanned: true})
}

// OnHost is the plan of a run that works on one host, or several, whatever it
// finds there.
func (s *Session) OnHost(hosts ...string) Plan {
	p := Plan{Schema: fleet.Schema, Fleet: s.Fleet.Name, Commit: s.Commit}
	for _, h := range hosts {
		p.Hosts = append(p.Hosts, HostPlan{Host: h})
	}
	return p
}

// Snapshots lists a stack's snapshots, as its host sees them on their targets.
func (s *Session) Snapshots(ctx context.Context, stack string) (agentapi.SnapshotList, error) {
	var list agentapi.SnapshotList
	p, err := placement.Of(s.Lock, stack)
	if err != nil {
		return list, err
	}
	return list, s.Call(ctx, p.Host, agentapi.VerbSnapshots, agentapi.Snapshots{Stack: stack}, &list)
}
