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
		Short: "Take the record to another remote, with everything in it",
		Long: "Move copies every file of the record and reads it back, marks the old place, which stays as it is, commits the\n" +
			"new one and has every host work with it. Cut short, it goes on when it is run again; with the old place it is\n" +
			"taken back.",
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
	if err := g.confirm(fmt.Sprintf("Move the record of %s from %s to %s? Stacks go on running.", a.Fleet().Name, a.Fleet().Record, to)); err != nil {
		return err
	}
	m, err := a.Record.MoveRecord(ctx, to)
	if err != nil {
		return err
	}
	s, err := a.Session(ctx)
	if err != nil {
		return err
	}
	next := placement.WithRecord(lock, to)
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.Observe(ctx, next))
	plan.Hosts = slices.DeleteFunc(plan.Hosts, func(hp deploy.HostPlan) bool { return !knowsRecord(lock, hp) })
	receipt, err := s.Apply(ctx, plan, next, deploy.Options{
		Kind: "record move", Extra: m.Changed, Message: fmt.Sprintf("record move: %s -> %s", m.From, to), Unplanned: true,
	})
	bar.Close()
	receipt.Pending = append(receipt.Pending, afterRecordMove(m, plan.Unreachable())...)
	return g.finish(&receipt, err, plan.Unreachable())
}

// knowsRecord reports whether a host works with the record's place: it has stacks, or
// got its settings before. Others are not made ready by the way.
func knowsRecord(lock fleet.Lock, hp deploy.HostPlan) bool {
	settings := func(c agentapi.Change) bool { return c.Stack == "" && c.ID == "settings" && c.Action == "~" }
	return len(lock.On(hp.Host)) > 0 || slices.ContainsFunc(hp.Changes, settings)
}

// afterRecordMove is what is left to do.
func afterRecordMove(m app.RecordMove, unreachable []string) []string {
	if m.From == m.To {
		return nil
	}
	var left []string
	for _, host := range unreachable {
		left = append(left, fmt.Sprintf("%s does not know the new place yet; until the next salvor apply it follows the mark at the old one, or asks Git", host))
	}
	if m.Same {
		return append(left, fmt.Sprintf("%s is the folder in which the record was, by another name: no file was moved, and none can be deleted; print a new card with salvor key card", m.To))
	}
	return append(left,
		fmt.Sprintf("the recovery card leads to the old place: print a new one with salvor key card, and try it with salvor key prove (%d files are at %s)", m.Files, m.To),
		fmt.Sprintf("%s is left as it was; once every host was applied to and the new card is printed, that folder can be deleted", m.From))
}
