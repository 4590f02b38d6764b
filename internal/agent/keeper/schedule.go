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
	left := dueTargets(k, s.Stack, k.Edges.Time())
	if len(left) == 0 {
		return nil
	}
	if left, err = (glance{k, takers.kept}).changed(ctx, s, left); len(left) == 0 || err != nil {
		return err
	}
	defer k.Free() // what the packs took
	own := New(k.Host)
	defer own.Close(ctx)
	got, err := readFor(ctx, own, s, Taking{Targets: left, Within: shortest(s.Stack), Sink: sink})
	for _, c := range got.copies {
		takers.copy(ctx, func() {
			defer k.Free()
			if did := c.Make(ctx); did.err != nil {
				k.Trouble("snapshots", did.err)
			}
		})
	}
	return err
}

// Due returns the stacks that run here at their epoch and of which a target is due: its
// interval has passed since its last try, well or not; a snapshot that is owed is tried every
// OwedEvery. Methods that pause are used at most every PauseEvery. What is between two
// versions, and what has nothing to protect, is never due.
func (k *Keeper) Due(spec agentapi.Host, now time.Time) []agentapi.Stack {
	var due []agentapi.Stack
	for _, st := range spec.Kept() {
		if s := ScheduleOf(k, spec, st); s != nil && !now.Before(s.Next) {
			due = append(due, st)
		}
	}
	return due
}

// dueTargets returns the targets of a stack that are due, in the order of the file; all for
// a snapshot that is owed. One to which a copy is under way is not.
func dueTargets(k *Keeper, st agentapi.Stack, now time.Time) []agentapi.Target {
	c, owed := k.Condition(st.Name), k.Wishes(st.Name).Owed != ""
	return slices.DeleteFunc(slices.Clone(st.Targets), func(t agentapi.Target) bool {
		_, copied := here.CopyTo(k.Host, t)
		return copied || !owed && now.Before(next(c, st, t))
	})
}

// ScheduleOf says when a stack's next snapshot is due, nil where none ever is. A target to which
// one is copied is not due until that is over.
func ScheduleOf(k *Keeper, spec agentapi.Host, st agentapi.Stack) *agentapi.Schedule {
	if s := k.At(spec, st); !k.RunsHere(s) || len(s.Protected()) == 0 || len(st.Targets) == 0 {
		return nil
	}
	c := k.Condition(st.Name)
	s, some := &agentapi.Schedule{Owed: k.Wishes(st.Name).Owed != ""}, false
	for _, t := range st.Targets {
		if _, copied := here.CopyTo(k.Host, t); copied {
			continue
		}
		at := next(c, st, t)
		if s.Owed {
			at = c.tried().Add(OwedEvery)
		}
		if !some || at.Before(s.Next) {
			some = true
			s.Every, s.Next, s.Pausing = every(st, t), at, nil
			if s.Every > t.Every {
				s.Pausing = pausing(st)
			}
		}
	}
	if !some {
		return nil
	}
	if s.Owed {
		s.Every, s.Pausing = OwedEvery, nil
	}
	return s
}

// next is when a target is due; zero for at once.
func next(c Condition, st agentapi.Stack, t agentapi.Target) time.Time {
	tried := c.On(t.Name).Tried
	if tried.IsZero() {
		return tried
	}
	at := tried.Add(every(st, t))
	if again := c.On(t.Name).Again; again.After(at) {
		return again
	}
	return at
}

// tried is when the last try on any target ended.
func (c Condition) tried() time.Time {
	var last time.Time
	for _, on := range c.Targets {
		if on.Tried.After(last) {
			last = on.Tried
		}
	}
	return last
}

// RunsHere reports whether a stack runs here at its epoch, by what is noted, and is not between
// two versions.
func (k *Keeper) RunsHere(s *here.Stack) bool {
	if s.IsOwn() {
		return true
	}
	local := k.Local(s.Name)
	return !s.Stopped && !local.Lost && !local.ReleasedAt(s.Epoch) && local.Epoch == s.Epoch && !s.Attempt().InProgress()
}

// every is how often a target gets a snapshot of a stack.
func every(st agentapi.Stack, t agentapi.Target) time.Duration {
	if len(pausing(st)) > 0 {
		return max(t.Every, st.PauseEvery)
	}
	return t.Every
}

// shortest is how often a stack is read: as often as the target that gets most snapshots.
func shortest(st agentapi.Stack) time.Duration {
	var least time.Duration
	for i, t := range st.Targets {
		if e := every(st, t); i == 0 || e < least {
			least = e
		}
	}
	return least
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
