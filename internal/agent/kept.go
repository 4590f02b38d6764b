package agent

import (
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// kept is how well a stack's data is kept, as far as this host knows: what its
// last snapshot and its last reading back came to. Losing it costs a report until
// the next of each.
type kept struct {
	Tried    time.Time         `json:"tried,omitzero"`     // when the last snapshot ended, well or not
	Good     time.Time         `json:"good,omitzero"`      // when the data was last known to be on every target
	Findings []finding.Finding `json:"findings,omitempty"` // of the last snapshot
	Unread   string            `json:"unread,omitempty"`   // why the last reading back failed
}

func (k *keeper) keptPath(stack string) string { return k.Paths.Placement(stack) + ".snapshot" }

// kept returns the note; one that can't be read, and times in the future, are as
// good as none.
func (k *keeper) kept(stack string) kept {
	var n kept
	if readJSON(k.keptPath(stack), &n) != nil {
		return kept{}
	}
	now := time.Now()
	n.Tried, n.Good = past(n.Tried, now), past(n.Good, now)
	return n
}

func (k *keeper) changeKept(stack string, change func(*kept)) error {
	n := k.kept(stack)
	change(&n)
	return writeJSON(k.keptPath(stack), n)
}

// noteTaken remembers how a snapshot went. One that read something examined what
// the last reading back had doubted.
func (k *keeper) noteTaken(host, stack string, began time.Time, r agentapi.SnapshotReceipt, found []finding.Finding, err error) error {
	return k.changeKept(stack, func(k *kept) {
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
func (k *keeper) noteReread(stack string, doubted bool, err error) error {
	return k.changeKept(stack, func(k *kept) {
		k.Unread = text(err)
		if doubted {
			k.Tried = time.Time{}
		}
	})
}

// keeping says what is wrong with how a stack's data is kept, and how late it is
// against its goal; without a goal, against the second try in a row.
func (k kept) keeping(host string, st agentapi.Stack, now time.Time) []finding.Finding {
	subject := host + "/" + st.Name
	found := slices.DeleteFunc(slices.Clone(k.Findings), aboutHistory) // the remote is asked about that
	if k.Unread != "" {
		found = append(found, finding.Finding{
			Code: finding.SnapshotUnverified, Severity: finding.Warning, Subject: subject,
			Text: "reading the snapshots back failed: " + k.Unread, Fix: "salvor snapshot take " + st.Name + " takes a new one of the data on the host",
		})
	}
	goal := st.RPO
	if goal == 0 {
		goal = 2 * interval(st)
	}
	if age := now.Sub(k.Good); goal > 0 && !k.Good.IsZero() && age > goal+lateBy {
		found = append(found, finding.Finding{
			Code: finding.SnapshotLate, Severity: finding.Warning, Subject: subject,
			Text: fmt.Sprintf("the newest data that could be restored is %s old, the goal is %s", age.Round(time.Second), goal), Fix: "salvor snapshot take " + st.Name,
		})
	}
	return found
}

// lateBy is what a snapshot that is due may take before it counts as late.
const lateBy = 5 * time.Minute
