package keeper

import (
	"context"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/progress"
)

// OwedEvery is the pause between tries of a snapshot that a restore owes.
const OwedEvery = time.Minute

// TakeDue has takers begin the snapshots that are due, and does not wait for them. One that
// is under way is not begun again. What goes wrong with one is in the journal.
func (k *Keeper) TakeDue(ctx context.Context, watch *ownership.Guard, takers *Takers, sink progress.Sink) error {
	spec, err := k.ReadSpec()
	if err != nil {
		return err
	}
	for _, st := range k.Due(spec, k.Edges.Time()) {
		takers.start(ctx, st.Name, func() {
			if err := k.takeOne(ctx, watch, takers, st.Name, sink); err != nil {
				k.Trouble("snapshots", err)
			}
		})
	}
	return nil
}

// takeOne takes a stack's snapshots if they are due still and it may change: that is
// asked when it is the stack's turn.
func (k *Keeper) takeOne(ctx context.Context, watch *ownership.Guard, takers *Takers, stack string, sink progress.Sink) error {
	spec, err := k.ReadSpec()
	if err != nil {
		return err
	}
	due := k.Due(spec, k.Edges.Time())
	i := slices.IndexFunc(due, func(st agentapi.Stack) bool { return st.Name == stack })
	if i < 0 {
		return nil
	}
	s := k.At(spec, due[i])
	if !watch.Recent(ctx, s).MayChange {
		return nil
	}
	if same, err := (glance{k, takers.kept}).unchanged(ctx, s); same || err != nil {
		return err
	}
	defer k.Free() // what the packs took
	own := New(k.Host)
	defer own.Close(ctx)
	_, err = own.Take(ctx, s, Taking{Sink: sink})
	return err
}

// Due returns the stacks that run here at their epoch and whose shortest interval has
// passed since the last try, well or not; a snapshot that is owed is tried every OwedEvery.
// Methods that pause are used at most every PauseEvery. What is between two versions, and
// what has nothing to protect, is never due.
func (k *Keeper) Due(spec agentapi.Host, now time.Time) []agentapi.Stack {
	var due []agentapi.Stack
	for _, st := range spec.Stacks {
		if s := ScheduleOf(k, spec, st); s != nil && !now.Before(s.Next) {
			due = append(due, st)
		}
	}
	return due
}

// ScheduleOf says when a stack's next snapshot is due, nil where none ever is.
func ScheduleOf(k *Keeper, spec agentapi.Host, st agentapi.Stack) *agentapi.Schedule {
	if s := k.At(spec, st); !k.RunsHere(s) || len(s.Protected()) == 0 {
		return nil
	}
	asked := shortest(st)
	s := &agentapi.Schedule{Every: interval(st), Owed: k.Wishes(st.Name).Owed != ""}
	if s.Every > asked {
		s.Pausing = pausing(st)
	}
	if s.Owed {
		s.Every, s.Pausing = OwedEvery, nil
	}
	if s.Every == 0 {
		return nil
	}
	if s.Next = k.Condition(st.Name).Tried; !s.Next.IsZero() {
		s.Next = s.Next.Add(s.Every)
	}
	return s
}

// RunsHere reports whether a stack runs here at its epoch, by what is noted, and is not between
// two versions.
func (k *Keeper) RunsHere(s *here.Stack) bool {
	local := k.Local(s.Name)
	return !s.Stopped && !local.Lost && !local.ReleasedAt(s.Epoch) && local.Epoch == s.Epoch && !s.Attempt().InProgress()
}

// interval is how often a stack's snapshots are taken, 0 for never.
func interval(st agentapi.Stack) time.Duration {
	every := shortest(st)
	if every > 0 && len(pausing(st)) > 0 {
		every = max(every, st.PauseEvery)
	}
	return every
}

// shortest is the shortest interval of the stack's targets, 0 without one.
func shortest(st agentapi.Stack) time.Duration {
	var every time.Duration
	for _, t := range st.Targets {
		if every == 0 || t.Every < every {
			every = t.Every
		}
	}
	return every
}

// pausing are the volumes that a stack is paused for.
func pausing(st agentapi.Stack) []string {
	var names []string
	for _, v := range st.Volumes {
		if v.Protect == fleet.Snapshot && (v.Method == fleet.Pause || v.Method == fleet.Stop) {
			names = append(names, v.Name)
		}
	}
	return names
}
