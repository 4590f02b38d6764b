package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/apply"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
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
	return g.with(ctx, func(a *app.App) error {
		p, err := apply.Plan(ctx, a.ForApply(), bar)
		if err != nil {
			return err
		}
		bar.Close()
		if err := g.printPlan(&p); err != nil {
			return err
		}
		return planError(&p, o.check)
	})
}

// planError is what a plan ends with: nil where nothing is in its way or, for a check, to be done.
func planError(p *deploy.Plan, check bool) error {
	switch {
	case finding.AnyFatal(p.Findings):
		return deploy.Reported(p.Findings)
	case p.Complete() != nil:
		return fault.WithCode(fmt.Errorf("%w: %d of %d", deploy.ErrUnreachableHosts, len(p.Unreachable()), len(p.Hosts)), fault.Unreachable)
	case check && (!p.Empty() || len(p.Grants) > 0):
		return fault.WithCode(errors.New("changes are pending"), fault.Pending)
	}
	return nil
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
