package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/placement"
	"salvor/internal/terminal"
)

type rollbackOptions struct {
	to       string
	withData bool
	keepData bool
	list     bool
}

func newRollback(g *globals) *cobra.Command {
	var o rollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback STACK",
		Short: "Return a stack to an earlier deploy: its files and its images",
		Long: "Rollback commits the stack's folder and image digests as they were and applies that. Secrets stay as they " +
			"are now.\n" +
			"An older image with newer data is refused: --with-data restores the newest snapshot that was taken while it " +
			"ran.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRollback(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.to, "to", "", "the deploy of this `COMMIT` (default: the previous one)")
	cmd.Flags().BoolVar(&o.withData, "with-data", false, "also restore the data from that deploy")
	cmd.Flags().BoolVar(&o.keepData, "keep-data", false, "keep the data even if an image gets older: you know that it works")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the earlier deploys and change nothing")
	return cmd
}

func runRollback(ctx context.Context, g *globals, stack string, o rollbackOptions) error {
	if o.withData && o.keepData {
		return fault.WithCode(fault.WithHint(errors.New("--with-data and --keep-data contradict each other"), "salvor rollback --help"), fault.Usage)
	}
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	stack = a.Named(stack)
	now, earlier, err := a.Deploys(ctx, stack)
	if err != nil {
		return err
	}
	if o.list {
		return g.printDeploys(now, earlier)
	}
	to, err := g.chooseDeploy(ctx, a, stack, now, earlier, o.to)
	if err != nil {
		return err
	}
	r, err := a.Rollback(ctx, stack, now, to)
	if err != nil {
		return err
	}
	question, err := g.rollbackData(ctx, a, stack, &r, o)
	if err != nil {
		return err
	}
	bar.Close()
	if o.withData {
		err = g.confirmName(question, stack)
	} else {
		err = g.confirm(question)
	}
	if err != nil {
		return err
	}
	return g.rollBack(ctx, a, stack, r)
}

// rollbackData asks for the data where that was wished, and refuses an older
// image on newer data.
func (g *globals) rollbackData(ctx context.Context, a *app.App, stack string, r *app.Rollback, o rollbackOptions) (question string, err error) {
	question = fmt.Sprintf("Roll %s back to %s of %s?", stack, r.To.Commit.Short(), r.To.At.Format(time.DateTime+" MST"))
	switch {
	case r.Older != "" && !o.withData && !o.keepData:
		err := fmt.Errorf("%s: the image of %s would be older than the data, which it may not be able to read", stack, r.Older)
		return "", fault.WithHint(err, "salvor rollback "+stack+" --with-data also restores the data from that time; use "+
			"--keep-data if today's data works with the older image")
	case !o.withData:
		return question, nil
	}
	s, err := a.Session(ctx)
	if err != nil {
		return "", err
	}
	list, err := s.Snapshots(ctx, stack)
	if err != nil {
		return "", err
	}
	data, found, err := a.DataOf(ctx, stack, *r, list.Snapshots)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fault.WithHint(fmt.Errorf("stack %s has no snapshot that was taken while the deploy of %s ran", stack, r.To.Commit.Short()), "salvor snapshot ls "+stack)
	}
	r.Lock = placement.Restore(r.Lock, stack, data.ID)
	return question + "\n" + restoreQuestion(stack, data), nil
}

// rollBack commits and applies. The commit is opened again: hosts get what it
// declares, not what this command remembers.
func (g *globals) rollBack(ctx context.Context, a *app.App, stack string, r app.Rollback) error {
	if err := a.CommitRollback(ctx, stack, r); err != nil {
		return err
	}
	bar := g.progress()
	defer bar.Close()
	next, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, next)
	host := r.Lock.Stacks[stack].Host
	return g.working(ctx, next, func(s *deploy.Session) (deploy.Receipt, error) {
		return s.Apply(ctx, s.OnHost(host), s.Lock, deploy.Options{Kind: "rollback", Asked: []string{stack}, Unplanned: true})
	})
}

// chooseDeploy picks the deploy of a commit, or the one before the present. A
// rollback that was interrupted is finished first: continuing to the one before it
// would go back twice.
func (g *globals) chooseDeploy(ctx context.Context, a *app.App, stack string, now app.Deploy, earlier []app.Deploy, name string) (app.Deploy, error) {
	if name == "" {
		if err := unfinishedRollback(ctx, a, stack, now); err != nil {
			return now, err
		}
		if len(earlier) == 0 {
			return now, fault.WithHint(fmt.Errorf("stack %s has no earlier deploy to go back to", stack), "salvor snapshot ls "+stack+"; salvor restore "+stack+" "+
				"--snapshot ID restores only data")
		}
		return earlier[0], nil
	}
	commit, err := a.ResolveCommit(ctx, name)
	if err != nil {
		return now, fault.WithHint(err, "salvor rollback "+stack+" --list")
	}
	for _, d := range append([]app.Deploy{now}, earlier...) {
		if d.Commit == commit {
			return d, nil
		}
	}
	return now, fault.WithHint(fmt.Errorf("stack %s was not deployed at commit %s", stack, commit.Short()), "salvor rollback "+stack+" --list")
}

func unfinishedRollback(ctx context.Context, a *app.App, stack string, now app.Deploy) error {
	if !now.RolledBack(stack) {
		return nil
	}
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	host := s.Lock.Stacks[stack].Host
	seen := s.ObserveSome(ctx, s.Lock, host)[host]
	if seen.Err != nil {
		return seen.Err
	}
	for _, c := range seen.State.Changes {
		if c.Stack == stack {
			return fault.WithHint(fmt.Errorf("the rollback of %s in commit %s is not finished", stack, now.Commit.Short()),
				"salvor apply finishes it, unless salvor status shows restore-failed; --to COMMIT goes back further")
		}
	}
	return nil
}

// printDeploys lists what a stack is and was, newest first.
func (g *globals) printDeploys(now app.Deploy, earlier []app.Deploy) error {
	type row struct {
		Commit string            `json:"commit"`
		At     time.Time         `json:"at"`
		Now    bool              `json:"now,omitempty"`
		Images map[string]string `json:"images,omitempty"`
	}
	rows := []row{{string(now.Commit), now.At, true, now.Images}}
	for _, d := range earlier {
		rows = append(rows, row{string(d.Commit), d.At, false, d.Images})
	}
	if g.json {
		return g.printJSON(struct {
			Schema  int   `json:"schema"`
			Deploys []row `json:"deploys"`
		}{1, rows})
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "COMMIT\tTIME\tIMAGES\n")
	for _, r := range rows {
		at := r.At.Format(time.DateTime)
		if r.Now {
			at += " (now)"
		}
		terminal.Printf(tab, "%.7s\t%s\t%s\n", r.Commit, at, strings.Join(shortImages(r.Images), ", "))
	}
	return tab.Flush()
}

// shortImages is "service repository:tag@digest", with the digest's beginning.
func shortImages(images map[string]string) []string {
	var all []string
	for _, service := range slices.Sorted(maps.Keys(images)) {
		tag, digest, _ := strings.Cut(images[service], "@sha256:")
		all = append(all, fmt.Sprintf("%s %s@%.8s", service, tag, digest))
	}
	return all
}
