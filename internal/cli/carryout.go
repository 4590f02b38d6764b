package cli

import (
	"context"
	"io"
	"slices"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// carryOut has the operator confirm a proposal, runs it with live progress and prints
// its receipt.
func (g *globals) carryOut(ctx context.Context, p proposal.Proposal[deploy.Receipt]) error {
	receipt, err := accepted(ctx, g, p)
	if receipt.Kind == "" {
		return err // nothing was begun
	}
	return g.finish(&receipt, err, nil)
}

// accepted shows a proposal's plan, has the operator confirm the proposal and runs it
// with live progress.
func accepted[R any](ctx context.Context, g *globals, p proposal.Proposal[R]) (R, error) {
	bar := g.progress()
	bar.Close()
	_, err := io.WriteString(g.Err, p.Plan)
	if err == nil {
		err = g.confirmed(p.Question, p.Name)
	}
	if err != nil {
		var none R
		return none, err
	}
	defer bar.Close()
	return p.Run(ctx, bar)
}

// session opens the fleet, and the workflow on it, for one piece of work.
func (g *globals) session(ctx context.Context, work func(*app.App, *deploy.Session) error) error {
	return g.with(ctx, func(a *app.App) error {
		s, err := a.Session(ctx, g.progress())
		if err != nil {
			return err
		}
		return work(a, s)
	})
}

// reopened are further openings of the fleet, at the commits that a command makes.
type reopened struct {
	g    *globals
	open []*app.App
}

// app opens the fleet at the commit that is the newest now.
func (r *reopened) app(ctx context.Context) (*app.App, error) {
	a, err := r.g.open(ctx, r.g.progress())
	if err == nil {
		r.open = append(r.open, a)
	}
	return a, err
}

// session opens the workflow on the commit that is the newest now.
func (r *reopened) session(ctx context.Context, sink progress.Sink) (*deploy.Session, error) {
	a, err := r.app(ctx)
	if err != nil {
		return nil, err
	}
	return a.Session(ctx, sink)
}

// close ends what was opened, the last first.
func (r *reopened) close(ctx context.Context) {
	for _, a := range slices.Backward(r.open) {
		r.g.close(ctx, a)
	}
}
