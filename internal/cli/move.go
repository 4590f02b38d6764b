package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/placement"
)

type moveOptions struct{ to string }

func newMove(g *globals) *cobra.Command {
	var o moveOptions
	cmd := &cobra.Command{
		Use:   "move STACK --to HOST",
		Short: "Move a stack with its data to another host, while both hosts run",
		Args:  exactArgs("STACK"),
		RunE:  func(cmd *cobra.Command, args []string) error { return runMove(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the `HOST` to move the stack to")
	return cmd
}

func runMove(ctx context.Context, g *globals, stack string, o moveOptions) error {
	if o.to == "" {
		return fault.WithCode(fault.WithHint(errors.New("move needs the host to move the stack to"), "salvor move "+stack+" --to HOST"), fault.Usage)
	}
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	stack = a.Named(stack)
	lock := a.Lock()
	was, err := placement.Of(lock, stack)
	if err != nil {
		return err
	}
	target, declared := a.Fleet().Host(o.to)
	switch {
	case !declared:
		return fault.WithHint(fmt.Errorf("host %s is not declared", o.to), "salvor host add "+o.to+" USER@ADDRESS")
	case was.Host == o.to:
		return g.finishMove(ctx, a, bar, stack, o.to)
	}
	bar.Close()
	if err := a.Broken(stack); err != nil {
		return err
	}
	if err := g.confirm(fmt.Sprintf("Move %s from %s to %s? It is stopped while its data moves.", stack, was.Host, o.to)); err != nil {
		return err
	}
	files, err := a.Rehost([]string{stack}, o.to)
	if err != nil {
		return err
	}
	if add, err := a.Enrol(ctx, target); err != nil {
		return err
	} else if err := a.Checkout.CommitFiles(ctx, add.Files, "move: host "+o.to+" enrolled"); err != nil {
		return err
	}
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	next, move := placement.MoveTo(lock, stack, o.to)
	seen := s.ObserveSome(ctx, next, was.Host, o.to)
	plan := deploy.MakePlan(s.Fleet, s.Commit, []placement.Move{move}, seen)
	if err := plan.Complete(); err != nil {
		return fault.WithCode(fault.WithHint(err, fmt.Sprintf("if %s is lost: salvor recover %s --to HOST", was.Host, was.Host)), fault.Unreachable)
	}
	if err := settleFirst(plan.Findings); err != nil {
		return err // before anything is stopped
	}
	receipt, err := s.Apply(ctx, plan, next, deploy.Options{Kind: "move", Moves: []placement.Move{move}, Extra: files, Asked: []string{stack}, Unplanned: true})
	bar.Close()
	receipt.Pending = append(receipt.Pending, waysBack(ctx, &receipt, []placement.Move{move})...)
	return g.finish(&receipt, err, nil)
}

// finishMove carries on after the placement: a move that was interrupted between its
// commit and the stack's start is claimed and started; one that is done finds nothing
// to do. The old host stops the stack on its own.
func (g *globals) finishMove(ctx context.Context, a *app.App, bar render.Progress, stack, to string) error {
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.ObserveSome(ctx, a.Lock(), to))
	if err := plan.Complete(); err != nil {
		return fault.WithCode(err, fault.Unreachable)
	}
	receipt, err := s.Apply(ctx, plan, a.Lock(), deploy.Options{Kind: "move", Asked: []string{stack}, Unplanned: true})
	bar.Close()
	return g.finish(&receipt, err, nil)
}

// waysBack says of each stack that moved and does not run there how it gets back:
// the host that it left has its data still. A run that was interrupted is finished
// first.
func waysBack(ctx context.Context, r *deploy.Receipt, moves []placement.Move) []string {
	var lines []string
	for _, m := range moves {
		left := m.From != "" && m.To != "" && r.Placed[m.Stack] == m.To
		if left && !r.Up(m.Stack) && ctx.Err() == nil {
			lines = append(lines, fmt.Sprintf("%s does not run on %s; %s still has its data, so you can go back with: salvor move %s --to %s", m.Stack, m.To, m.From, m.Stack, m.From))
		}
	}
	return lines
}
