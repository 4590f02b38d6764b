package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/ack"
	"salvor/internal/app"
	"salvor/internal/apply"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/terminal"
)

type planOptions struct {
	check bool
	hosts []string
	diff  bool
}

func newPlan(g *globals) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [STACK…]",
		Short: "Show what apply would change on every host, and why; change nothing",
		Long: "Plan asks every host what it is like and shows what an apply of the newest commit would do there.\nWith stacks, or " +
			"--host, it is about those alone, and about the stacks that they need.",
		Example: "  salvor plan\n  salvor plan notes --diff\n  salvor plan --host alpha",
		RunE:    func(cmd *cobra.Command, args []string) error { return runPlan(cmd.Context(), g, args, o) },
	}
	cmd.Flags().BoolVar(&o.check, "check", false, "exit with 20 when changes are pending")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "show, line by line, how the Compose files, the files and the names of secrets of stacks change")
	scopeFlags(cmd, &o.hosts)
	return cmd
}

func runPlan(ctx context.Context, g *globals, stacks []string, o planOptions) error {
	bar := g.progress()
	return g.withNews(ctx, func(a *app.App) error {
		about, err := scope(a, stacks, o.hosts)
		if err != nil {
			return err
		}
		p, err := apply.Plan(ctx, a.ForApply(), about, bar)
		if err != nil {
			return err
		}
		bar.Close()
		if o.diff && !g.json {
			if err := printDiffs(ctx, g.page(), a, &p); err != nil {
				return err
			}
		}
		if err := printPlan(g, alreadyKnown(g, a), &p); err != nil {
			return err
		}
		printNext(g, &p, about)
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

// printPlan prints what was found, then the plan, so that a question stands below it.
func printPlan(g *globals, known ack.Known, p *deploy.Plan) error {
	if g.json {
		return g.printJSON(p)
	}
	page := g.page()
	printNews(page, known, p.Findings)
	if len(p.Findings) > 0 {
		page.Printf("\n")
	}
	p.Render(page)
	return page.Err()
}

// printNext prints the command that carries a plan out.
func printNext(g *globals, p *deploy.Plan, about apply.Scope) {
	if g.json || p.Empty() || finding.AnyFatal(p.Findings) {
		return
	}
	next := inScope("salvor apply", about)
	if p.Complete() != nil {
		next += " --partial"
	}
	g.page().Printf("Next: %s\n", terminal.Paint(terminal.Strong, next))
}
