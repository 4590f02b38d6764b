package cli

import (
	"context"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/placement"
	"salvor/internal/proposal"
	"salvor/internal/stack"
)

// onHost opens the stacks of the host that a stack is placed on.
func (g *globals) onHost(ctx context.Context, name string, work func(h *stack.Host, name string) error) error {
	return g.with(ctx, func(a *app.App) error {
		name, err := a.Stack(name)
		if err != nil {
			return err
		}
		lock := a.Lock()
		p, err := placement.Of(lock, name)
		if err != nil {
			return err
		}
		m, err := a.Reach.Machine(ctx, p.Host)
		if err != nil {
			return err
		}
		h := stack.New(m)
		defer h.Close()
		return work(h, name)
	})
}

// amend carries out one change of one stack.
func (g *globals) amend(ctx context.Context, stack string, propose func(*deploy.Session, string) (proposal.Proposal[deploy.Receipt], error)) error {
	return g.session(ctx, func(a *app.App, s *deploy.Session) error {
		stack, err := a.Stack(stack)
		if err != nil {
			return err
		}
		p, err := propose(s, stack)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, p)
	})
}
