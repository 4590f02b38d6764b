package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/restic"
	"salvor/internal/storage"
)

// Condition is how well a stack's data is kept, by target, as far as this host knows: what
// the last snapshot and the last reading back on each came to. Losing it costs a report
// until the next of each.
type Condition struct {
	Targets map[string]OnTarget `json:"targets,omitempty"` // by name
}

// OnTarget is how well one target keeps a stack's data.
type OnTarget struct {
	Since    time.Time         `json:"since,omitzero"`     // the first try
	Tried    time.Time         `json:"tried,omitzero"`     // when the last try ended, well or not
	Good     time.Time         `json:"good,omitzero"`      // the data that the target has is that of this time
	Snapshot string            `json:"snapshot,omitempty"` // the one that has it
	Findings []finding.Finding `json:"findings,omitempty"` // of the last try
	Unread   string            `json:"unread,omitempty"`   // why the last reading back failed
	Again    time.Time         `json:"again,omitzero"`     // nothing is tried before: the remote accepts no more uploads today
}

// On returns what is known of one target.
func (c Condition) On(target string) OnTarget { return c.Targets[target] }

// Findings are those of the last try on each of a stack's targets, each once.
func (c Condition) Findings(st agentapi.Stack) []finding.Finding {
	var all []finding.Finding
	for _, t := range st.Targets {
		for _, f := range c.On(t.Name).Findings {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all
}

// ConditionPath is the file of a stack's condition.
func (k *Keeper) ConditionPath(stack string) string { return k.Paths.Placement(stack) + ".snapshot" }

// Condition returns the note; one that can't be read, and times in the future, are as
// good as none.
func (k *Keeper) Condition(stack string) Condition {
	var n Condition
	if here.ReadJSON(k.ConditionPath(stack), &n) != nil {
		return Condition{}
	}
	now := k.Edges.Time()
	for name, on := range n.Targets {
		on.Since, on.Tried, on.Good = here.Past(on.Since, now), here.Past(on.Tried, now), here.Past(on.Good, now)
		if on.Again.Sub(now) > dayPause {
			on.Again = time.Time{} // the clock was set back
		}
		n.Targets[name] = on
	}
	return n
}

// ChangeCondition notes what is new about how a target keeps a stack's data.
func (k *Keeper) ChangeCondition(stack, target string, change func(*OnTarget)) error {
	return here.ChangeNotes(k.Host, stack, func() error {
		n := k.Condition(stack)
		if n.Targets == nil {
			n.Targets = map[string]OnTarget{}
		}
		on := n.Targets[target]
		change(&on)
		n.Targets[target] = on
		return here.WriteJSON(k.ConditionPath(stack), n)
	})
}

// A try is what one target's turn came to.
type try struct {
	read    time.Time // when the data was read
	receipt agentapi.SnapshotReceipt
	err     error
}

// refused reports whether the data was refused, whatever the target.
func (t try) refused() bool {
	return t.err != nil && slices.ContainsFunc(t.receipt.Findings, func(f finding.Finding) bool {
		return f.Severity == finding.Fatal && !aboutHistory(f)
	})
}

// noteTry remembers what a target's turn came to. One that read something examined what
// the last reading back had doubted.
func (k *Keeper) noteTry(s *here.Stack, target string, t try) error {
	return k.ChangeCondition(s.Name, target, func(on *OnTarget) {
		on.Tried, on.Findings, on.Again = k.Edges.Time().UTC(), t.receipt.Findings, time.Time{}
		if on.Since.IsZero() {
			on.Since = on.Tried
		}
		switch {
		case t.err == nil:
			on.Good, on.Snapshot = t.read, t.receipt.Snapshot.ID
			if !t.receipt.Skipped {
				on.Unread = ""
			}
		case errors.Is(t.err, storage.ErrDay):
			on.Again = on.Tried.Add(dayPause)
			on.Findings = append(slices.Clone(on.Findings), finding.Finding{
				Code: finding.SnapshotWaits, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
				Text: target + " accepts no more uploads today; what was uploaded stays there, and the next try, at " + on.Again.Format(time.RFC3339) + ", continues from it",
				Fix:  "wait; Google Drive accepts 750 GB a day of an account, whatever uploads them",
			})
		case !finding.AnyFatal(t.receipt.Findings):
			on.Findings = append(slices.Clone(on.Findings), failed(s.Spec.Name, s.Name, target, t.err))
		}
	})
}

// failed is the finding about a snapshot that could not be taken.
func failed(host, stack, target string, err error) finding.Finding {
	fix, denied := "salvor snapshot take "+stack, new(storage.Denied)
	switch {
	case errors.As(err, &denied):
		fix = denied.Fix()
	case errors.Is(err, here.ErrAbsent):
		fix = "bring the mount back: snapshots are then taken again automatically"
	case errors.Is(err, restic.ErrInUse):
		fix = "wait until the restic that locked it ends; if it was killed, restic unlock removes its lock"
	case errors.Is(err, storage.ErrFull):
		fix = "make room on the remote; salvor snapshot prune removes what the retention does not keep"
	}
	return finding.Finding{
		Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: "the last snapshot on " + target + " failed: " + err.Error(), Fix: fix,
	}
}

// noteReread remembers how reading back a share of a target's data went. Where something
// is doubted the next snapshot is due at once: it repairs that.
func (k *Keeper) noteReread(stack, target string, doubted bool, err error) error {
	return k.ChangeCondition(stack, target, func(on *OnTarget) {
		on.Unread = here.ErrorText(err)
		if doubted {
			on.Tried = time.Time{}
		}
	})
}

// Report says what is wrong with how a stack's data is kept, as far as this host knows
// without asking a target.
func (c Condition) Report(host string, st agentapi.Stack) []finding.Finding {
	found := slices.DeleteFunc(c.Findings(st), aboutHistory) // the remote is asked about that
	for _, t := range st.Targets {
		if why := c.On(t.Name).Unread; why != "" {
			found = append(found, finding.Finding{
				Code: finding.SnapshotUnverified, Severity: finding.Warning, Subject: host + "/" + st.Name,
				Text: "reading the snapshots on " + t.Name + " back failed: " + why, Fix: "salvor snapshot take " + st.Name + " takes a new one of the data on the host",
			})
		}
	}
	return found
}

// takingSnapshot is what the lock of a stack says while a snapshot of it is taken.
const takingSnapshot = "snapshot"

// takeLimit bounds one snapshot: what was uploaded by then stays, and the next
// continues from there.
const takeLimit = 72 * time.Hour

var errTakeLimit = errors.New("the snapshot was given up after " + takeLimit.String() + "; its uploads are kept, and the " +
	"next snapshot continues from there")

// dayPause is the pause between tries while the remote accepts no more uploads: Drive does not
// say when it does again.
const dayPause = time.Hour

// takeWithin takes a snapshot, within the limit. The first one of a repository has none: it
// may be large, and its line slow.
func takeWithin(ctx context.Context, engine snapshot.Engine, job snapshot.Job) (snapshot.Result, error) {
	if job.After.Zero() && !job.Diverged {
		return engine.Take(ctx, job)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, takeLimit, errTakeLimit)
	defer cancel()
	result, err := engine.Take(ctx, job)
	if err != nil && errors.Is(context.Cause(ctx), errTakeLimit) {
		err = errTakeLimit
	}
	return result, err
}

// LastingFindings say that a snapshot of a stack, or a copy of one, has been under way for long.
func (k *Keeper) LastingFindings(host string, st agentapi.Stack, now time.Time) []finding.Finding {
	var found []finding.Finding
	holder, held := runlock.Held(k.Paths.Run, here.StackLock(st.Name))
	if held && holder.Owner == here.Daemon && holder.Message == takingSnapshot && now.Sub(holder.Since) >= TakerTurn {
		found = append(found, finding.Finding{
			Code: finding.SnapshotLasts, Severity: finding.Warning, Subject: host + "/" + st.Name,
			Text: fmt.Sprintf("its data has been read for a snapshot since %s; no newer snapshot starts until that ends", holder.Since.UTC().Format(time.RFC3339)),
			Fix:  "wait, or look at what is in the volume: du -h --apparent-size",
		})
	}
	for _, t := range st.Targets {
		if holder, held := here.CopyTo(k.Host, t); held && now.Sub(holder.Since) >= TakerTurn {
			found = append(found, copyLasts(host, st.Name, t.Name, holder.Since))
		}
	}
	return found
}

// copyLasts says that a copy to a target is under way.
func copyLasts(host, stack, target string, since time.Time) finding.Finding {
	return finding.Finding{
		Code: finding.SnapshotLasts, Severity: finding.Info, Subject: host + "/" + stack + "/" + target,
		Text: fmt.Sprintf("a snapshot has been copied to %s since %s; %s gets the next one after that, and no target deletes snapshots until then", target, since.UTC().Format(time.RFC3339), target),
		Fix:  "nothing to do: snapshots on other targets are on time",
	}
}
