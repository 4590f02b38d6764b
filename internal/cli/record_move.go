package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/placement"
)

func newRecordMove(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "move REMOTE[:PATH]",
		Short: "Move the record to another remote, with everything in it",
		Long: "Move copies every file of the record and reads it back, marks the old place (which is otherwise kept as " +
			"it is),\n" +
			"commits the new one and switches every host to it. If it is interrupted, run it again to continue; run it " +
			"with the\n" +
			"old place to undo it.",
		Args: exactArgs("REMOTE[:PATH]"),
		RunE: func(cmd *cobra.Command, args []string) error { return runRecordMove(cmd.Context(), g, args[0]) },
	}
}

func runRecordMove(ctx context.Context, g *globals, place string) error {
	bar := g.progress()
	defer bar.Close()
	a, err := g.open(ctx, bar)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	to, err := a.Record.RecordPlace(place)
	if err != nil {
		return err
	}
	lock := a.Lock()
	bar.Close()
	if err := g.confirm(fmt.Sprintf("Move the record of %s from %s to %s? Stacks keep running.", a.Fleet().Name, a.Fleet().Record, to)); err != nil {
		return err
	}
	m, err := a.Record.MoveRecord(ctx, to)
	if err != nil {
		return err
	}
	s, err := a.Session(ctx, bar)
	if err != nil {
		return err
	}
	next := placement.WithRecord(lock, to)
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.Observe(ctx, next))
	plan.Hosts = slices.DeleteFunc(plan.Hosts, func(hp deploy.HostPlan) bool { return !knowsRecord(lock, hp) })
	receipt, err := s.Apply(ctx, plan, next, deploy.Options{
		Kind: deploy.KindRecordMove, Extra: m.Changed, Message: fmt.Sprintf("record move: %s -> %s", m.From, to), Unplanned: true,
	})
	bar.Close()
	receipt.Pending = append(receipt.Pending, afterRecordMove(m, plan.Unreachable())...)
	return g.finish(&receipt, err, plan.Unreachable())
}

// knowsRecord reports whether a host works with the record's place: it has stacks, or
// got its settings before. Others are not made ready by the way.
func knowsRecord(lock fleet.Lock, hp deploy.HostPlan) bool {
	settings := func(c agentapi.Change) bool {
		return c.Stack == "" && c.Kind() == agentapi.ChangeSettings && c.Action == "~"
	}
	return len(lock.On(hp.Host)) > 0 || slices.ContainsFunc(hp.Changes, settings)
}

// afterRecordMove is what is left to do.
func afterRecordMove(m app.RecordMove, unreachable []string) []string {
	if m.From == m.To {
		return nil
	}
	var left []string
	for _, host := range unreachable {
		left = append(left, fmt.Sprintf("%s does not know the new place yet; until the next salvor apply it finds it "+
			"through the mark at the old place, or through Git", host))
	}
	if m.Same {
		return append(left, fmt.Sprintf("%s is the same folder as before under another name: no file was moved, and "+
			"there is no old folder to delete; print a new card with salvor key card", m.To))
	}
	return append(left,
		fmt.Sprintf("the recovery card shows the old place: print a new one with salvor key card, and try it with salvor key prove (%d files are at %s)", m.Files, m.To),
		fmt.Sprintf("%s is left as it was; once you have applied to every host and printed the new card, you can delete that folder", m.From))
}
