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
)

// Condition is how well a stack's data is kept, as far as this host knows: what its
// last snapshot and its last reading back came to. Losing it costs a report until
// the next of each.
type Condition struct {
	Tried    time.Time         `json:"tried,omitzero"`     // when the last snapshot ended, well or not
	Good     time.Time         `json:"good,omitzero"`      // when the data was last known to be on every target
	Findings []finding.Finding `json:"findings,omitempty"` // of the last snapshot
	Unread   string            `json:"unread,omitempty"`   // why the last reading back failed
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
	now := time.Now()
	n.Tried, n.Good = here.Past(n.Tried, now), here.Past(n.Good, now)
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
	return k.ChangeCondition(stack, func(k *Condition) {
		k.Tried, k.Findings = time.Now().UTC(), found
		switch {
		case err == nil:
			k.Good = began
			if !r.Skipped {
				k.Unread = ""
			}
		case !finding.AnyFatal(found):
			k.Findings = append(found, finding.Finding{
				Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: host + "/" + stack,
				Text: "the last snapshot failed: " + err.Error(), Fix: "salvor snapshot take " + stack,
			})
		}
	})
}

// noteReread remembers how reading back a share of the data went. Where something
// is doubted the next snapshot is due at once: it repairs that.
func (k *Keeper) noteReread(stack string, doubted bool, err error) error {
	return k.ChangeCondition(stack, func(k *Condition) {
		k.Unread = here.ErrorText(err)
		if doubted {
			k.Tried = time.Time{}
		}
	})
}

// Report says what is wrong with how a stack's data is kept, and how late it is
// against its goal; without a goal, against the second try in a row.
func (k Condition) Report(host string, st agentapi.Stack, now time.Time) []finding.Finding {
	subject := host + "/" + st.Name
	found := slices.DeleteFunc(slices.Clone(k.Findings), aboutHistory) // the remote is asked about that
	if k.Unread != "" {
		found = append(found, finding.Finding{
			Code: finding.SnapshotUnverified, Severity: finding.Warning, Subject: subject,
			Text: "reading the snapshots back failed: " + k.Unread, Fix: "salvor snapshot take " + st.Name + " makes a new one of what is on the host",
		})
	}
	goal := st.RPO
	if goal == 0 {
		goal = 2 * interval(st)
	}
	if age := now.Sub(k.Good); goal > 0 && !k.Good.IsZero() && age > goal+lateBy {
		found = append(found, finding.Finding{
			Code: finding.SnapshotLate, Severity: finding.Warning, Subject: subject,
			Text: fmt.Sprintf("what could be restored is %s old, the goal is %s", age.Round(time.Second), goal), Fix: "salvor snapshot take " + st.Name,
		})
	}
	return found
}

// lateBy is what a snapshot that is due may take before it counts as late.
const lateBy = 5 * time.Minute

// takingSnapshot is what the lock of a stack says while a snapshot of it is taken.
const takingSnapshot = "snapshot"

// takeLimit bounds one snapshot: what was uploaded by then stays, and the next goes
// on from there.
const takeLimit = 72 * time.Hour

var errTakeLimit = errors.New("the snapshot was given up after " + takeLimit.String() + "; what it uploaded stays, and the next one goes on from there")

// takeWithin takes a snapshot, within the limit.
func takeWithin(ctx context.Context, engine snapshot.Engine, job snapshot.Job) (snapshot.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, takeLimit, errTakeLimit)
	defer cancel()
	result, err := engine.Take(ctx, job)
	if err != nil && errors.Is(context.Cause(ctx), errTakeLimit) {
		err = errTakeLimit
	}
	return result, err
}

// Lasting says that a snapshot of a stack has been under way for long.
func (k *Keeper) Lasting(host, stack string, now time.Time) []finding.Finding {
	holder, held := runlock.Held(k.Paths.Run, here.StackLock(stack))
	if !held || holder.Owner != here.Daemon || holder.Message != takingSnapshot || now.Sub(holder.Since) < TakerTurn {
		return nil
	}
	return []finding.Finding{{
		Code: finding.SnapshotLasts, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: fmt.Sprintf("its data is being read since %s; until that ends no newer snapshot is taken of it", holder.Since.UTC().Format(time.RFC3339)),
		Fix:  "wait, or look at what the volume holds: du -h --apparent-size",
	}}
}
