package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

type applyOptions struct {
	restore []string
	fresh   []string
	take    []string
	empty   []string
	partial bool
}

func newApply(g *globals) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make every host match the newest commit",
		Long: "Apply shows the plan, asks, commits the placements, and brings each host in line.\nIt may be run again " +
			"at any time; this also finishes a run that was interrupted.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd.Context(), g, o) },
	}
	cmd.Flags().StringSliceVar(&o.restore, "restore", nil, "`STACK` whose name was used before: restore its newest snapshot")
	cmd.Flags().StringSliceVar(&o.fresh, "fresh", nil, "`STACK` whose name was used before: start empty with a new repository; the old one is kept")
	cmd.Flags().StringSliceVar(&o.take, "take", nil, "`STACK` whose data is on its host: use that data as it is, instead of a snapshot")
	cmd.Flags().StringSliceVar(&o.empty, "empty", nil, "`STACK` from which a volume was removed in Git: its new volumes "+
		"are not renamed ones, and start empty")
	cmd.Flags().BoolVar(&o.partial, "partial", false, "apply even if some hosts can't be reached; ends with exit code 3")
	return cmd
}

func runApply(ctx context.Context, g *globals, o applyOptions) error {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	if err := deploy.Blocked(inTheWay(a, a.Findings())); err != nil {
		return err
	}
	if err := a.GitHost.Pin(ctx); err != nil {
		return err
	}
	s, err := a.Session(ctx, bar)
	if err != nil {
		return err
	}
	if s.Consent, err = consents(a, o); err != nil {
		return err
	}
	past, err := s.New(ctx)
	if err != nil {
		return err
	}
	p, next, moves, err := planOf(ctx, a, s, past)
	if err != nil {
		return err
	}
	accept := func(p *deploy.Plan) error {
		return g.acceptPlan(bar, p, o.partial, inTheWay(a, p.Findings), func() error { return a.Confirmed.ConfirmGrants(ctx, next) })
	}
	broken, _ := finding.Of(p.Findings)
	if err := accept(&p); err != nil {
		return err
	}
	if p.Empty() && len(moves) == 0 {
		if settled, err := s.Settled(ctx); err != nil || settled {
			g.note(a.Mirrors.Renew(ctx))
			return errors.Join(err, leftAsTheyRun(broken), notApplied(p.Unreachable()))
		}
	}
	receipt, err := s.Apply(ctx, p, next, deploy.Options{Kind: deploy.KindApply, Moves: moves, Accept: func(p deploy.Plan) error {
		g.note(fmt.Errorf("%s changed since the plan was made; this is the new plan", p.Hosts[0].Host))
		return accept(&p)
	}})
	bar.Close()
	if err == nil {
		g.note(a.Confirmed.Delivered(ctx))
	}
	return errors.Join(g.finish(&receipt, err, p.Unreachable()), leftAsTheyRun(broken))
}

// inTheWay are the findings that keep the whole fleet from being applied: all of them
// where no stack is left that could be.
func inTheWay(a *app.App, all []finding.Finding) []finding.Finding {
	if !slices.ContainsFunc(a.Fleet().Stacks, func(st fleet.Stack) bool { return !st.Broken }) {
		return all
	}
	_, others := finding.Of(all)
	return others
}

// leftAsTheyRun is the error of an apply that left out the stacks which do not load.
func leftAsTheyRun(broken []finding.Finding) error {
	var errs []error
	for _, f := range broken {
		errs = append(errs, fault.WithCode(fault.WithHint(fmt.Errorf("%s is left running as it is: %s", f.Stack, deploy.InFull(f)), f.Fix), fault.Partial))
	}
	return errors.Join(errs...)
}

// acceptPlan shows the plan and asks, about its grants first, unless findings are in
// the way.
func (g *globals) acceptPlan(bar interface{ Close() }, p *deploy.Plan, partial bool, inTheWay []finding.Finding, grants func() error) error {
	bar.Close()
	if !g.json || p.Empty() {
		if err := g.printPlan(p); err != nil {
			return err
		}
	}
	if err := deploy.Blocked(inTheWay); err != nil {
		return err
	}
	if err := p.Complete(); err != nil && !partial {
		return fault.WithCode(fault.WithHint(err, "salvor apply --partial continues without them"), fault.Unreachable)
	}
	if err := grants(); err != nil || p.Empty() {
		return err
	}
	if lost := p.Destroys(); len(lost) > 0 {
		return g.confirmName("This may lose data: "+strings.Join(lost, ", "), p.Fleet)
	}
	return g.confirm(fmt.Sprintf("Apply to %s?", p.Fleet))
}

// consents returns what was said about the data of each stack.
func consents(a *app.App, o applyOptions) (map[string]project.Consent, error) {
	all := map[string]project.Consent{}
	for _, said := range []struct {
		consent project.Consent
		stacks  []string
	}{{project.ConsentRestore, o.restore}, {project.ConsentFresh, o.fresh}, {project.ConsentTake, o.take}, {project.ConsentEmpty, o.empty}} {
		for _, name := range said.stacks {
			stack := a.Named(name)
			if _, declared := a.Fleet().Stack(stack); !declared {
				return nil, fault.WithCode(fmt.Errorf("--%s: stack %s is not declared", said.consent, name), fault.Usage)
			}
			if before := all[stack]; before != "" && before != said.consent {
				return nil, fault.WithCode(fmt.Errorf("stack %s has both --%s and --%s", stack, before, said.consent), fault.Usage)
			}
			all[stack] = said.consent
		}
	}
	return all, nil
}

// noteBeside says which stacks failed that the command was not about. They do not
// count for its exit code.
func (g *globals) noteBeside(failed []deploy.Failure) {
	if g.json {
		return // the receipt has them
	}
	for _, f := range failed {
		terminal.Printf(g.Err, "note: %s: %s, which is not part of this command: %s\n", f.Host, f.Stack, terminal.Text(f.Error.Text))
		if f.Error.Hint != "" {
			terminal.Printf(g.Err, "%s\n", f.Error.Hint)
		}
	}
}

// finish prints the receipt and turns what is missing into the exit code.
func (g *globals) finish(r *deploy.Receipt, err error, unreachable []string) error {
	if printErr := g.printRun(r, err); printErr != nil {
		return printErr
	}
	if err == nil {
		err = r.Err()
	}
	if err == nil {
		err = notApplied(unreachable)
	}
	return err
}

// printRun prints the receipt of a run that ended with err.
func (g *globals) printRun(r *deploy.Receipt, err error) error {
	if g.json {
		if err := g.printJSON(r); err != nil {
			return err
		}
	} else if err := printReceipt(g.Out, r); err != nil {
		return err
	}
	if err == nil {
		g.noteBeside(r.FailedBeside())
	}
	return nil
}

// notApplied is the error of an apply --partial that left hosts out.
func notApplied(unreachable []string) error {
	if len(unreachable) == 0 {
		return nil
	}
	return fault.WithCode(fmt.Errorf("not applied to %s", strings.Join(unreachable, ", ")), fault.Partial)
}
