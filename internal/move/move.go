// Package move moves a stack with its data to another host while both are reachable.
package move

import (
	"context"
	"fmt"

	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fit"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Fleet is the newest commit of the fleet, opened, as far as a move needs it.
type Fleet interface {
	Fleet() *fleet.Fleet
	Lock() fleet.Lock
	// Broken returns why a stack's files do not load, nil when they do.
	Broken(stack string) error
	// Rehost returns the Compose files of stacks with another host in them.
	Rehost(stacks []string, host string) (map[string][]byte, error)
	// EnrolCommitted makes sure that a declared host has its identity, and commits what
	// Git lacks of it.
	EnrolCommitted(ctx context.Context, h fleet.Host) error
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
}

// Prepare proposes to move a stack to a declared host. Where the stack is placed there
// already, the proposal finishes a move that was interrupted, and asks nothing.
func Prepare(f Fleet, stack, to string) (proposal.Proposal[deploy.Receipt], error) {
	m := &move{fleet: f, stack: stack}
	p := proposal.New(fmt.Sprintf("move %s to %s", stack, to), m.run)
	at, err := placement.Of(f.Lock(), stack)
	if err != nil {
		return p, err
	}
	target, err := placement.Host(f.Fleet(), to)
	if err != nil {
		return p, fault.WithHint(err, "salvor host add "+to+" USER@ADDRESS")
	}
	m.from, m.to = at.Host, target
	if m.from == to {
		return p, nil
	}
	p.Question = fmt.Sprintf("Move %s from %s to %s? It is stopped while its data moves.", stack, m.from, to)
	return p, f.Broken(stack)
}

// A move is one that was prepared.
type move struct {
	fleet Fleet
	stack string
	from  string
	to    fleet.Host
}

func (m *move) run(ctx context.Context, sink progress.Sink) (deploy.Receipt, error) {
	if m.from == m.to.Name {
		return m.finish(ctx, sink)
	}
	files, err := m.fleet.Rehost([]string{m.stack}, m.to.Name)
	if err != nil {
		return deploy.Receipt{}, err
	}
	if err := m.fleet.EnrolCommitted(ctx, m.to); err != nil {
		return deploy.Receipt{}, err
	}
	s, err := m.fleet.Session(ctx, sink)
	if err != nil {
		return deploy.Receipt{}, err
	}
	next, change := placement.MoveTo(s.Lock, m.stack, m.to.Name)
	changes := []placement.Move{change}
	seen := s.ObserveSome(ctx, next, m.from, m.to.Name)
	plan := deploy.MakePlan(s.Fleet, s.Commit, changes, seen)
	if err := plan.Complete(); err != nil {
		return deploy.Receipt{}, fault.WithCode(fault.WithHint(err, fmt.Sprintf("if %s is lost: salvor recover %s --to HOST", m.from, m.from)), fault.Unreachable)
	}
	if err := deploy.Blocked(plan.Findings); err != nil {
		return deploy.Receipt{}, err // before anything is stopped
	}
	if err := deploy.Blocked(m.misfits(deploy.Misfits(ctx, s, next, seen))); err != nil {
		return deploy.Receipt{}, err
	}
	return s.Apply(ctx, plan, next, deploy.Options{Kind: deploy.KindMove, Moves: changes, Extra: files, Asked: []string{m.stack}, Unplanned: true})
}

// misfits are the reasons why the stack does not fit on its new host.
func (m *move) misfits(all map[string][]fit.Misfit) []finding.Finding {
	var found []finding.Finding
	for _, f := range all[m.to.Name] {
		if f.Stack == m.stack {
			found = append(found, f.Finding(m.to.Name, f.Fix+", or choose another host: salvor move "+m.stack+" --to HOST"))
		}
	}
	return found
}

// finish carries on after the placement: a move that was interrupted between its
// commit and the stack's start is claimed and started; one that is done finds nothing
// to do. The old host stops the stack on its own.
func (m *move) finish(ctx context.Context, sink progress.Sink) (deploy.Receipt, error) {
	s, err := m.fleet.Session(ctx, sink)
	if err != nil {
		return deploy.Receipt{}, err
	}
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.ObserveSome(ctx, s.Lock, m.to.Name))
	if err := plan.Complete(); err != nil {
		return deploy.Receipt{}, fault.WithCode(err, fault.Unreachable)
	}
	return s.Apply(ctx, plan, s.Lock, deploy.Options{Kind: deploy.KindMove, Asked: []string{m.stack}, Unplanned: true})
}
