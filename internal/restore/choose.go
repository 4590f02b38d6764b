package restore

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/terminal"
)

// choose picks a snapshot by the beginning of its id, or the newest that a restore may
// take, at or before a time that is not zero: of those that are equally new the one on the first target. With o.From, only
// that target's count. While the newest that was proven is missing on all of them, or may be on a target that does not
// answer, none is picked without its id.
func choose(list agentapi.SnapshotList, o Options) (agentapi.SnapshotRow, error) {
	if o.From != "" {
		list.Snapshots = slices.DeleteFunc(slices.Clone(list.Snapshots), func(s agentapi.SnapshotRow) bool { return s.Target != o.From })
		list.Silent = slices.DeleteFunc(slices.Clone(list.Silent), func(t agentapi.SilentTarget) bool { return t.Name != o.From })
	}
	var found []agentapi.SnapshotRow
	id := o.Snapshot
	for _, s := range list.Snapshots {
		fits := (o.At.IsZero() || !s.Began.Truncate(time.Second).After(o.At)) && !s.Diverged && !s.Unproven && !s.Future && s.Damaged == "" && (len(found) == 0 || found[0].Before(s))
		switch {
		case id == "" && fits:
			found = []agentapi.SnapshotRow{s}
		case id != "" && strings.HasPrefix(s.ID, id):
			found = append(found, s)
		}
	}
	hint := "salvor snapshot ls " + list.Stack
	switch {
	case len(found) == 0 && len(list.Silent) > 0:
		return agentapi.SnapshotRow{}, fault.WithHint(fmt.Errorf("target %s does not answer: %s", list.Silent[0].Name, list.Silent[0].Why), "salvor remote test shows which step fails")
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
	for _, t := range list.Silent {
		if t.Newest.ID != "" && left.Before(agentapi.SnapshotRow{SnapshotInfo: t.Newest}) {
			return fault.WithHint(fmt.Errorf("target %s does not answer and has a newer snapshot of %s, %.8s, %s: %s", t.Name, list.Stack, t.Newest.ID, age(t.Newest), t.Why),
				fmt.Sprintf("bring it back; salvor restore %s --from %s restores the newest that is there, of %s", list.Stack, left.Target, left.Began.UTC().Format(time.DateTime)))
		}
	}
	for _, s := range list.Snapshots {
		if s.Missing && left.Before(s) {
			return fault.WithHint(fmt.Errorf("snapshot %.8s of %s was proven and is missing: %s", s.ID, list.Stack, s.Damaged),
				fmt.Sprintf("bring it back on the remote; salvor restore %s --snapshot %.8s restores the newest that is "+
					"left, of %s; data written after it is lost", list.Stack, left.ID, left.Began.UTC().Format(time.DateTime)))
		}
	}
	return nil
}

// unheard names the targets that did not answer, for the question.
func unheard(list agentapi.SnapshotList) string {
	text := ""
	for _, t := range list.Silent {
		text += fmt.Sprintf("\nTarget %s does not answer; ", t.Name)
		if t.Newest.ID == "" {
			text += "it is not known what it has."
		} else {
			text += fmt.Sprintf("the newest snapshot that it is known to have is %.8s, %s.", t.Newest.ID, age(t.Newest))
		}
	}
	return text
}

// age is how old a snapshot is, as far as that is known.
func age(s agentapi.SnapshotInfo) string {
	if s.Began.IsZero() {
		return "of unknown age"
	}
	return terminal.Duration(time.Since(s.Began)) + " old"
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
