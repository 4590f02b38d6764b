package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/ack"
	"salvor/internal/app"
	"salvor/internal/apply"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

type applyOptions struct {
	restore []string
	fresh   []string
	take    []string
	empty   []string
	adopt   []string
	open    []string
	partial bool
	hosts   []string
}

func newApply(g *globals) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply [STACK…]",
		Short: "Make every host match the newest commit",
		Long: "Apply shows the plan, asks, commits the placements, and brings each host in line.\nIt may be run again " +
			"at any time; this also finishes a run that was interrupted.\nWith stacks, or --host, it deploys those alone, and " +
			"the stacks that they need; all others stay as they run.",
		Example: "  salvor apply\n  salvor apply notes blog\n  salvor apply --host alpha\n  salvor apply --partial",
		RunE:    func(cmd *cobra.Command, args []string) error { return runApply(cmd.Context(), g, args, o) },
	}
	cmd.Flags().StringSliceVar(&o.restore, "restore", nil, "`STACK` whose name was used before: restore its newest snapshot")
	cmd.Flags().StringSliceVar(&o.fresh, "fresh", nil, "`STACK` whose name was used before: start empty with a new repository; the old one is kept")
	cmd.Flags().StringSliceVar(&o.take, "take", nil, "`STACK` whose data is on its host: use that data as it is, instead of a snapshot")
	cmd.Flags().StringSliceVar(&o.empty, "empty", nil, "`STACK` from which a volume was removed in Git: its new volumes "+
		"are not renamed ones, and start empty")
	cmd.Flags().StringSliceVar(&o.adopt, "adopt", nil, "`STACK` that runs on its host already, without Salvor: take it over as it runs, if its files in Git are those it was started with; of a draft, every container is made again")
	cmd.Flags().BoolVar(&o.partial, "partial", false, "apply even if some hosts can't be reached; ends with exit code 3")
	cmd.Flags().StringSliceVar(&o.open, "unprotect", nil, "`HOSTNAME` that everyone may reach from now on, although it asked for protection; --yes does not say so")
	scopeFlags(cmd, &o.hosts)
	return cmd
}

func runApply(ctx context.Context, g *globals, stacks []string, o applyOptions) error {
	bar := g.progress()
	return g.withNews(ctx, func(a *app.App) error {
		consent, err := consents(a, o)
		if err != nil {
			return err
		}
		about, err := scope(a, stacks, o.hosts)
		if err != nil {
			return err
		}
		planned, err := apply.Prepare(ctx, a.ForApply(), apply.Options{Consent: consent, Partial: o.partial, Scope: about, Unprotect: func(hostname string) error { return g.confirmOpen(hostname, o.open) }}, bar)
		if err != nil {
			return err
		}
		bar.Close()
		known := alreadyKnown(g, a)
		if err := showPlan(g, known, &planned.Plan); err != nil {
			return err
		}
		p, err := planned.Propose(ctx, func(again deploy.Plan) error { return acceptAgain(ctx, g, known, planned, &again) })
		if err != nil {
			return err
		}
		g.note(a.Acks.Remember(planned.Plan.Findings, a.Findings()))
		receipt, err := accepted(ctx, g, p)
		bar.Close()
		g.note(planned.Aside())
		unreachable := planned.Plan.Unreachable()
		if receipt.Kind == "" {
			if err == nil {
				err = errors.Join(planned.Left(), notApplied(unreachable))
			}
			return err // nothing was begun
		}
		return errors.Join(g.finish(&receipt, err, unreachable), planned.Left())
	})
}

// acceptAgain shows the plan of a host that changed since the plan was made, and asks.
func acceptAgain(ctx context.Context, g *globals, known ack.Known, planned *apply.Planned, p *deploy.Plan) error {
	g.note(fmt.Errorf("%s changed since the plan was made; this is the new plan", p.Hosts[0].Host))
	g.progress().Close()
	if err := showPlan(g, known, p); err != nil {
		return err
	}
	question, name, err := planned.Question(ctx, p)
	if err != nil {
		return err
	}
	return g.confirmed(question, name)
}

// showPlan prints a plan before it is asked about; with --json only one that does nothing.
func showPlan(g *globals, known ack.Known, p *deploy.Plan) error {
	if g.json && !p.Empty() {
		return nil
	}
	return printPlan(g, known, p)
}

// consents returns what was said about the data of each stack.
func consents(a *app.App, o applyOptions) (map[string]project.Consent, error) {
	all := map[string]project.Consent{}
	for _, said := range []struct {
		consent project.Consent
		stacks  []string
	}{{project.ConsentRestore, o.restore}, {project.ConsentFresh, o.fresh}, {project.ConsentTake, o.take}, {project.ConsentEmpty, o.empty}, {project.ConsentAdopt, o.adopt}} {
		for _, name := range said.stacks {
			stack, err := a.Stack(name)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", said.consent, err)
			}
			if before := all[stack]; before != "" && before != said.consent {
				return nil, fault.WithCode(fmt.Errorf("stack %s has both --%s and --%s", stack, before, said.consent), fault.Usage)
			}
			all[stack] = said.consent
		}
	}
	return all, nil
}

// noteOthers says which stacks failed that the command was not about. They do not
// count for its exit code.
func (g *globals) noteOthers(failed []deploy.Failure) {
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
	} else if err := printReceipt(g.page(), r); err != nil {
		return err
	}
	if err == nil {
		g.noteOthers(r.FailedOthers())
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
