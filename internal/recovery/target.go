package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/progress"
)

// A Target is the host that takes over, ready and not committed yet.
type Target struct {
	Files    map[string][]byte // that declare it; none where Git has it already
	GitKey   string            // what the Git host must accept, read-only
	Replaced bool              // another machine had the name before
}

// enrolTarget makes sure that the host taking over has salvord and its identity, and
// returns the files that say so.
func (r *recovery) enrolTarget(ctx context.Context) (Target, error) {
	h, declared := r.fleet.Fleet().Host(r.To.Name)
	switch {
	case r.New:
		key, err := r.Trust(ctx, r.To)
		if err != nil {
			return Target{}, err
		}
		return r.fleet.AddHost(ctx, r.To, key, r.To.Name == r.Lost)
	case !declared:
		return Target{}, fault.WithHint(fmt.Errorf("host %s is not declared", r.To.Name), fmt.Sprintf("--to %s=ADDRESS adds it", r.To.Name))
	case r.To.Name == r.Lost:
		return Target{}, fault.WithHint(fmt.Errorf("%s is the host that is lost", r.To.Name), fmt.Sprintf("--to %s=ADDRESS names the machine that replaces it", r.To.Name))
	}
	return r.fleet.Enrol(ctx, h)
}

// letRead is what is left to do at the Git host. Whether that was done for a host
// that an earlier run has added, or that was declared before, is not known here.
func (t Target) letRead(host string) string {
	unless := ""
	if len(t.Files) == 0 {
		unless = ", unless it does already"
	}
	return fmt.Sprintf("let %s read the repository%s: add its deploy key, read-only: %s", host, unless, t.GitKey)
}

// aliveWithin is how long the lost host gets to answer.
const aliveWithin = 5 * time.Second

// ErrAlive means that the host to recover answers: what it wrote since its newest
// snapshots would be lost.
var ErrAlive = errors.New("the host answers")

// askLost begins to ask whether the lost host answers, and returns what waits for the
// outcome: ErrAlive when it does, unless all that is left is to finish a recovery.
func (r *recovery) askLost(ctx context.Context, lost fleet.Host) (wait func() error, err error) {
	if r.AcceptLoss || r.New && r.To.Name == lost.Name && r.To.Address == lost.Address && r.To.Port == lost.Port {
		return func() error { return nil }, nil // what answers there is the machine that replaces it
	}
	reach, err := r.fleet.Reach(lost)
	if err != nil {
		return nil, err
	}
	answered := make(chan bool, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, aliveWithin)
		defer cancel()
		m, err := reach(ctx)
		if err == nil {
			_ = m.Close() // nothing was done there
		}
		answered <- !errors.Is(err, machine.ErrUnreachable) // else it is as the operator says
	}()
	return func() error {
		if !<-answered {
			return nil
		}
		return r.alive(ctx)
	}, nil
}

// alive is the error of a lost host that answers. It is nil where a recovery that was interrupted had
// placed and claimed all its stacks for the new host: what the lost one wrote since is given up already.
func (r *recovery) alive(ctx context.Context) error {
	err := fmt.Errorf("%s: %w", r.Lost, ErrAlive)
	if lock := r.fleet.Lock(); len(lock.On(r.Lost)) > 0 {
		return fault.WithHint(err, fmt.Sprintf("salvor move STACK --to %s moves the data too; --accept-loss recovers from the newest snapshots anyway", r.To.Name))
	}
	open, unread := r.unclaimed(ctx)
	if unread != nil {
		return errors.Join(err, unread)
	}
	if len(open) > 0 {
		return fault.WithHint(fmt.Errorf("%w, and %s is not claimed for %s yet", err, open[0], r.To.Name),
			fmt.Sprintf("salvor apply finishes the recovery with the data that %s has now; --accept-loss finishes it from the newest snapshots", r.Lost))
	}
	return nil
}

// unclaimed returns the stacks that are placed on the host taking over and not claimed for it.
func (r *recovery) unclaimed(ctx context.Context) ([]string, error) {
	s, err := r.fleet.Session(ctx, progress.Discard())
	if err != nil {
		return nil, err
	}
	all, err := s.Unclaimed(ctx)
	return slices.DeleteFunc(all, func(name string) bool { return s.Lock.Stacks[name].Host != r.To.Name }), err
}
