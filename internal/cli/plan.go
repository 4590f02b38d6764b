package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/leaks"
	"salvor/internal/placement"
	"salvor/internal/terminal"
)

type planOptions struct {
	check bool
}

func newPlan(g *globals) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what apply would change on every host, and why; change nothing",
		Args:  exactArgs(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return runPlan(cmd.Context(), g, o) },
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "exit with 20 when changes are pending")
	return cmd
}

func runPlan(ctx context.Context, g *globals, o planOptions) error {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	s, err := a.Session(ctx, bar)
	if err != nil {
		return err
	}
	p, _, _, err := planOf(ctx, a, s, nil)
	if err != nil {
		return err
	}
	bar.Close()
	if err := g.printPlan(&p); err != nil {
		return err
	}
	switch {
	case finding.AnyFatal(p.Findings):
		return deploy.Blocked(p.Findings)
	case p.Complete() != nil:
		return fault.WithCode(fmt.Errorf("%w: %d of %d", deploy.ErrUnreachableHosts, len(p.Unreachable()), len(p.Hosts)), fault.Unreachable)
	case o.check && (!p.Empty() || len(p.Grants) > 0):
		return fault.WithCode(errors.New("changes are pending"), fault.Pending)
	}
	return nil
}

// planOf observes every host once, looks for secrets in the commit and at the claims
// at the same time, and plans. Stacks that something is in the way of are left as
// they run, and named in findings: the rest is planned without them.
func planOf(ctx context.Context, a *app.App, s *deploy.Session, past map[string]int) (deploy.Plan, fleet.Lock, []placement.Move, error) {
	next, moves := placement.Next(s.Fleet, s.Lock, past)
	next = s.Rename(next)
	var stale map[string]string
	var inClear, held []finding.Finding
	var beside errgroup.Group
	beside.Go(func() (err error) {
		if stale, err = s.StaleSeals(ctx); err == nil {
			inClear, err = leaks.Findings(ctx, a.Checkout)
		}
		return err
	})
	beside.Go(func() error {
		held = s.TakenOver(ctx, next)
		return nil
	})
	observed := s.Observe(ctx, next)
	if err := beside.Wait(); err != nil {
		return deploy.Plan{}, next, moves, err
	}
	if held = append(held, deploy.Scoped(observed, next)...); s.Hold(held) {
		for _, f := range held {
			delete(stale, f.Stack) // what is left out gets no new seal
		}
		next, moves = placement.Next(s.Fleet, s.Lock, past)
		next = s.Rename(next)
		observed = s.Observe(ctx, next)
		deploy.Scoped(observed, next)
	}
	p := deploy.MakePlan(s.Fleet, s.Commit, moves, observed)
	p.Reseal(stale, next, s.Stacks)
	p.Rename(a.Renamed(), next)
	p.Findings = slices.Concat(p.Findings, held, a.Findings(), inClear, s.RenameFindings())
	finding.Sort(p.Findings)
	p.Findings = slices.CompactFunc(p.Findings, func(a, b finding.Finding) bool { return a == b })
	var err error
	p.Grants, err = a.Confirmed.Grants(ctx, next)
	return p, next, moves, err
}

func (g *globals) printPlan(p *deploy.Plan) error {
	if g.json {
		return g.printJSON(p)
	}
	if p.Empty() && len(p.Unreachable()) == 0 {
		if _, err := terminal.Printf(g.Out, "%s at %.7s: everything is as declared.\n", p.Fleet, p.Commit); err != nil {
			return err
		}
		return p.RenderRest(g.Out)
	}
	return p.Render(g.Out)
}
