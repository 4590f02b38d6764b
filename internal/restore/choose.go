package restore

import (
	"fmt"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
)

// choose picks a snapshot by the beginning of its id, or the newest that a restore may
// take, at or before a time that is not zero. One that is on several targets is one. While the newest that was proven is
// missing on all of them, none is picked without its id.
func choose(list agentapi.SnapshotList, o Options) (agentapi.SnapshotRow, error) {
	var found []agentapi.SnapshotRow
	id := o.Snapshot
	for _, s := range list.Snapshots {
		fits := (o.At.IsZero() || !s.Began.Truncate(time.Second).After(o.At)) && !s.Diverged && !s.Unproven && !s.Future && s.Damaged == "" && (len(found) == 0 || !s.Before(found[0]))
		switch {
		case id == "" && fits:
			found = []agentapi.SnapshotRow{s}
		case id != "" && strings.HasPrefix(s.ID, id):
			found = append(found, s)
		}
	}
	hint := "salvor snapshot ls " + list.Stack
	switch {
	case len(found) == 0 && id == "" && len(list.Snapshots) > 0 && !o.At.IsZero():
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("stack %s has no snapshot of %s or before", list.Stack, o.At.Local().Format(time.DateTime)), hint)
	case len(found) == 0 && id == "":
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("stack %s has no snapshot", list.Stack), "salvor snapshot take "+list.Stack)
	case len(found) == 0:
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("stack %s has no snapshot %s", list.Stack, id), hint)
	case id == "" && !o.At.IsZero():
		return found[0], nil
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
	return fault.WithHint(fmt.Errorf("snapshot %.8s of %s is %s: %s", found[0].ID, stack, Flaw(found[0]), found[0].Damaged), "salvor snapshot ls "+stack+" "+
		"lists the good ones")
}

// Flaw is what is wrong with a snapshot that can't be restored.
func Flaw(s agentapi.SnapshotRow) string {
	if s.Missing {
		return "missing"
	}
	return "damaged"
}
