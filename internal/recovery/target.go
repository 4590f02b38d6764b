package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
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
// outcome: ErrAlive when it does.
func (r *recovery) askLost(ctx context.Context, lost fleet.Host) (wait func() error, err error) {
	var asked errgroup.Group
	if r.AcceptLoss || r.New && r.To.Name == lost.Name && r.To.Address == lost.Address && r.To.Port == lost.Port {
		return asked.Wait, nil // what answers there is the machine that replaces it
	}
	reach, err := r.fleet.Reach(lost)
	if err != nil {
		return nil, err
	}
	asked.Go(func() error {
		ctx, cancel := context.WithTimeout(ctx, aliveWithin)
		defer cancel()
		m, err := reach(ctx)
		if errors.Is(err, machine.ErrUnreachable) {
			return nil // as the operator says
		}
		if err == nil {
			_ = m.Close() // it answered; nothing was done there
		}
		return fault.WithHint(fmt.Errorf("%s: %w", lost.Name, ErrAlive),
			fmt.Sprintf("salvor move STACK --to %s moves the data too; --accept-loss recovers from the newest snapshots anyway", r.To.Name))
	})
	return asked.Wait, nil
}
