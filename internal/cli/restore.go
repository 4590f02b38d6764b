package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/cli/render"
	"salvor/internal/deploy"
	"salvor/internal/fault"
)

type restoreOptions struct {
	snapshot string
	withdraw bool
}

func newRestore(g *globals) *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore STACK",
		Short: "Restore a stack's data from a snapshot, in place",
		Long: "Restore downloads the data next to the running volume, verifies it, snapshots the present data and swaps " +
			"the two.\n" +
			"The replaced data is kept until the next good snapshot. A restore that failed is not retried " +
			"automatically:\n" +
			"run the same command again, or cancel it with --withdraw.",
		Args: exactArgs("STACK"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRestore(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.snapshot, "snapshot", "", "`ID` of the snapshot, or its beginning (default: the newest)")
	cmd.Flags().BoolVar(&o.withdraw, "withdraw", false, "cancel a restore that has not been done; the data stays as it is")
	return cmd
}

func runRestore(ctx context.Context, g *globals, stack string, o restoreOptions) error {
	if o.withdraw && o.snapshot != "" {
		return fault.WithCode(fault.WithHint(errors.New("--withdraw and --snapshot contradict each other"), "salvor restore --help"), fault.Usage)
	}
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	stack = a.Named(stack)
	if o.withdraw {
		bar.Close()
		return g.withdrawRestore(ctx, a, stack)
	}
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	list, err := s.Snapshots(ctx, stack)
	if err != nil {
		return err
	}
	chosen, err := chooseSnapshot(list, o.snapshot)
	if err != nil {
		return err
	}
	bar.Close()
	if err := g.confirmName(restoreQuestion(stack, chosen), stack); err != nil {
		return err
	}
	return g.working(ctx, a, func(s *deploy.Session) (deploy.Receipt, error) { return s.Restore(ctx, stack, chosen.ID) })
}

// withdrawRestore gives up what a restore has wished. A rollback that asked for the
// data from that time has an older image, too: that is undone as a whole.
func (g *globals) withdrawRestore(ctx context.Context, a *app.App, stack string) error {
	now, earlier, err := a.Deploys(ctx, stack)
	if err != nil {
		return err
	}
	if now.RolledBack(stack) && len(earlier) > 0 {
		return fault.WithHint(fmt.Errorf("the restore of %s belongs to the rollback in commit %s: without it, an older "+
			"image would start with newer data", stack, now.Commit.Short()),
			fmt.Sprintf("salvor rollback %s --to %s --keep-data undoes the whole rollback", stack, earlier[0].Commit.Short()))
	}
	if err := g.confirm(fmt.Sprintf("Cancel the restore of %s and keep its data as it is?", stack)); err != nil {
		return err
	}
	return g.working(ctx, a, func(s *deploy.Session) (deploy.Receipt, error) { return s.Withdraw(ctx, stack) })
}

func restoreQuestion(stack string, s agentapi.SnapshotRow) string {
	return fmt.Sprintf("Restore %s to snapshot %.8s: %s old, %s in %s.\nThis replaces the data written since then; a snapshot of that is taken first.",
		stack, s.ID, render.Duration(time.Since(s.Began)), render.Bytes(s.Bytes), count(s.Files, "file"))
}

// chooseSnapshot picks a snapshot by the beginning of its id, or the newest that a
// restore may take. One that is on several targets is one. While the newest that was
// proven is missing on all of them, none is picked without its id.
func chooseSnapshot(list agentapi.SnapshotList, id string) (agentapi.SnapshotRow, error) {
	var found []agentapi.SnapshotRow
	for _, s := range list.Snapshots {
		fits := !s.Diverged && !s.Unproven && !s.Future && s.Damaged == "" && (len(found) == 0 || !s.Before(found[0]))
		switch {
		case id == "" && fits:
			found = []agentapi.SnapshotRow{s}
		case id != "" && strings.HasPrefix(s.ID, id):
			found = append(found, s)
		}
	}
	hint := "salvor snapshot ls " + list.Stack
	switch {
	case len(found) == 0 && id == "":
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("stack %s has no snapshot", list.Stack), "salvor snapshot take "+list.Stack)
	case len(found) == 0:
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("stack %s has no snapshot %s", list.Stack, id), hint)
	case id == "":
		return found[0], noneMissing(list, found[0])
	}
	for _, s := range found[1:] {
		if s.ID != found[0].ID {
			return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("several snapshots of %s begin with %s", list.Stack, id), hint)
		}
	}
	return found[0], wholeOf(list.Stack, found)
}

// noneMissing refuses the newest snapshot that is left where a newer one was proven.
func noneMissing(list agentapi.SnapshotList, left agentapi.SnapshotRow) error {
	for _, s := range list.Snapshots {
		if s.Missing && left.Before(s) {
			return fault.WithHint(fmt.Errorf("snapshot %.8s of %s was proven and is missing: %s", s.ID, list.Stack, s.Damaged),
				fmt.Sprintf("bring it back on the remote; salvor restore %s --snapshot %.8s restores the newest that is "+
					"left, of %s; data written after it is lost", list.Stack, left.ID, left.Began.UTC().Format(time.DateTime)))
		}
	}
	return nil
}

// wholeOf refuses a snapshot that is damaged on every target.
func wholeOf(stack string, found []agentapi.SnapshotRow) error {
	for _, s := range found {
		if s.Damaged == "" {
			return nil
		}
	}
	return fault.WithHint(fmt.Errorf("snapshot %.8s of %s is %s: %s", found[0].ID, stack, flaw(found[0]), found[0].Damaged), "salvor snapshot ls "+stack+" "+
		"lists the good ones")
}
