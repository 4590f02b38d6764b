// Package recovery brings the stacks of a lost host back on another one. It is
// a placement change without a release: the order of its steps, which is the
// product, stands in Recover.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/placement"
	"salvor/internal/sign"
)

// Options say which host is lost and where its stacks go.
type Options struct {
	Lost string // declared host that is gone
	To   string // declared host that takes over, also when it has just been added
	// Files belong into the placement's commit: the new host in fleet.yaml and
	// hosts/, the stacks' host: edited.
	Files map[string][]byte
	// AcceptLoss gives up newest snapshots that the remote has lost: the newest ones
	// that are there are restored.
	AcceptLoss bool
	// Compromised says that somebody else has Lost's disk: its stacks get repositories
	// with passwords that Lost never had, and are restored from the former ones.
	Compromised bool
	// Replaced says that To is Lost's name on another machine than Git has there.
	Replaced bool
}

// aliveWithin is how long the lost host gets to answer.
const aliveWithin = 5 * time.Second

// ErrAlive means that the host to recover answers.
var ErrAlive = errors.New("the host answers")

// A Plan is what a recovery will do, to be shown before it is confirmed.
type Plan struct {
	Next  fleet.Lock
	Moves []placement.Move
}

// Prepare returns the placements after the recovery: every stack of the lost
// host on the other one, counted on. A recovery that was cut short has moved
// them already; then there is nothing to move, and Recover finishes it.
func Prepare(lock fleet.Lock, o Options) Plan {
	next, moves := placement.Recover(lock, placement.Takeover{Lost: o.Lost, To: o.To, Replaced: o.Replaced, Compromised: o.Compromised})
	return Plan{Next: next, Moves: moves}
}

// Recover carries p out: commit the placements with their seals, claim, and have
// the new host prepare itself, restore and start. The lost host is Gone, or its
// loss is accepted; the new host has its salvord and is enrolled (Enrol). It may
// be run again at any point.
func Recover(ctx context.Context, s *deploy.Session, p Plan, o Options) (deploy.Receipt, error) {
	var asked []string // none: it was cut short, and every stack of the new host may be meant
	for _, m := range p.Moves {
		asked = append(asked, m.Stack)
	}
	s.AcceptLoss = o.AcceptLoss
	return s.Apply(ctx, s.OnHost(o.To), p.Next, deploy.Options{
		Kind: "recover", Moves: p.Moves, Extra: o.Files, Lost: o.Lost, Replaced: o.Lost == o.To, Asked: asked, NoPrints: true,
	})
}

// Enrol installs salvord on a machine, asks for its identity and Git key, and has it
// trust the fleet's signing keys.
func Enrol(ctx context.Context, link *hostlink.Link, fleetName string, signers sign.Keys) (agentapi.Enrolment, error) {
	var e agentapi.Enrolment
	req := agentapi.Enrol{Fleet: fleetName, Host: link.Host, Signers: signers}
	err := link.Call(ctx, agentapi.VerbEnrol, req, &e)
	if errors.Is(err, hostlink.ErrNoSalvord) {
		if err = link.Install(ctx); err == nil {
			err = link.Call(ctx, agentapi.VerbEnrol, req, &e)
		}
	}
	return e, err
}

// Gone returns ErrAlive when a host answers that is to be recovered onto another:
// what it wrote since its newest snapshots would be lost.
func Gone(ctx context.Context, lost, to string, reach func(context.Context) (machine.Machine, error)) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	m, err := reach(ctx)
	if errors.Is(err, machine.ErrUnreachable) {
		return nil // which is what the operator says
	}
	if err == nil {
		_ = m.Close() // it answered; nothing was done there
	}
	return fault.WithHint(fmt.Errorf("%s: %w", lost, ErrAlive),
		fmt.Sprintf("salvor move STACK --to %s moves the data too; --accept-loss recovers from the newest snapshots anyway", to))
}
