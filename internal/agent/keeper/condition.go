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
	"salvor/internal/storage"
)

// Condition is how well a stack's data is kept, as far as this host knows: what its
// last snapshot and its last reading back came to. Losing it costs a report until
// the next of each.
type Condition struct {
	Tried    time.Time         `json:"tried,omitzero"`     // when the last snapshot ended, well or not
	Good     time.Time         `json:"good,omitzero"`      // when the data was last known to be on every target
	Findings []finding.Finding `json:"findings,omitempty"` // of the last snapshot
	Unread   string            `json:"unread,omitempty"`   // why the last reading back failed
	Again    time.Time         `json:"again,omitzero"`     // no snapshot is tried before: the remote accepts no more uploads today
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
	n.Tried, n.Good = here.Past(n.Tried, now), here.Past(n.Good, now)
	if n.Again.Sub(now) > dayPause {
		n.Again = time.Time{} // the clock was set back
	}
	return n
}

// ChangeCondition notes what is new about how a stack's data is kept.
func (k *Keeper) ChangeCondition(stack string, change func(*Condition)) error {
	n := k.Condition(stack)
	change(&n)
	return here.WriteJSON(k.ConditionPath(stack), n)
}

// NoteTaken remembers how a snapshot went. One that read something examined what
// the last reading back had doubted.
func (k *Keeper) NoteTaken(host, stack string, began time.Time, r agentapi.SnapshotReceipt, found []finding.Finding, err error) error {
	return k.ChangeCondition(stack, func(c *Condition) {
		c.Tried, c.Findings, c.Again = k.Edges.Time().UTC(), found, time.Time{}
		switch {
		case err == nil:
			c.Good = began
			if !r.Skipped {
				c.Unread = ""
			}
		case errors.Is(err, storage.ErrDay):
			c.Again = c.Tried.Add(dayPause)
			c.Findings = append(found, finding.Finding{
				Code: finding.SnapshotWaits, Severity: finding.Warning, Subject: host + "/" + stack,
				Text: "the remote accepts no more uploads today; what was uploaded stays there, and the next try, at " + c.Again.Format(time.RFC3339) + ", continues from it",
				Fix:  "wait; Google Drive accepts 750 GB a day of an account, whatever uploads them",
			})
		case !finding.AnyFatal(found):
			fix := "salvor snapshot take " + stack
			if denied := new(storage.Denied); errors.As(err, &denied) {
				fix = denied.Fix()
			} else if errors.Is(err, storage.ErrFull) {
				fix = "make room on the remote; salvor snapshot prune removes what the retention does not keep"
			}
			c.Findings = append(found, finding.Finding{
				Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: host + "/" + stack,
				Text: "the last snapshot failed: " + err.Error(), Fix: fix,
			})
		}
	})
}

// noteReread remembers how reading back a share of the data went. Where something
// is doubted the next snapshot is due at once: it repairs that.
func (k *Keeper) noteReread(stack string, doubted bool, err error) error {
	return k.ChangeCondition(stack, func(c *Condition) {
		c.Unread = here.ErrorText(err)
		if doubted {
			c.Tried = time.Time{}
		}
	})
}

// Report says what is wrong with how a stack's data is kept, and how late it is
// against its goal; without a goal, against the second try in a row.
func (c Condition) Report(host string, st agentapi.Stack, now time.Time) []finding.Finding {
	subject := host + "/" + st.Name
	found := slices.DeleteFunc(slices.Clone(c.Findings), aboutHistory) // the remote is asked about that
	if c.Unread != "" {
		found = append(found, finding.Finding{
			Code: finding.SnapshotUnverified, Severity: finding.Warning, Subject: subject,
			Text: "reading the snapshots back failed: " + c.Unread, Fix: "salvor snapshot take " + st.Name + " takes a new one of the data on the host",
		})
	}
	goal := st.RPO
	if goal == 0 {
		goal = 2 * interval(st)
	}
	if age := now.Sub(c.Good); goal > 0 && !c.Good.IsZero() && age > goal+lateBy {
		found = append(found, finding.Finding{
			Code: finding.SnapshotLate, Severity: finding.Warning, Subject: subject,
			Text: fmt.Sprintf("the newest data that could be restored is %s old, the goal is %s", age.Round(time.Second), goal), Fix: "salvor snapshot take " + st.Name,
		})
	}
	return found
}

// lateBy is what a snapshot that is due may take before it counts as late.
const lateBy = 5 * time.Minute

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

// LastingFindings say that a snapshot of a stack has been under way for long.
func (k *Keeper) LastingFindings(host, stack string, now time.Time) []finding.Finding {
	holder, held := runlock.Held(k.Paths.Run, here.StackLock(stack))
	if !held || holder.Owner != here.Daemon || holder.Message != takingSnapshot || now.Sub(holder.Since) < TakerTurn {
		return nil
	}
	return []finding.Finding{{
		Code: finding.SnapshotLasts, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: fmt.Sprintf("its data has been read for a snapshot since %s; no newer snapshot starts until that ends", holder.Since.UTC().Format(time.RFC3339)),
		Fix:  "wait, or look at what is in the volume: du -h --apparent-size",
	}}
}
