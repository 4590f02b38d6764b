package keeper

import (
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// lateBy is what a snapshot that is due may take before it counts as late.
const lateBy = 5 * time.Minute

// Ages says for each of a stack's targets, and for each volume, of which time the data is
// that could be restored from there now: by what the target lists, or, of one that did not
// answer, by this host's notes.
func (c Condition) Ages(st agentapi.Stack, listed []listing) []agentapi.TargetState {
	var all []agentapi.TargetState
	protected := func(v project.Volume) bool { return v.Protect == fleet.Snapshot }
	if !slices.ContainsFunc(st.Volumes, protected) {
		return nil
	}
	for _, t := range st.Targets {
		state := agentapi.TargetState{Name: t.Name, Goal: goal(st, t), Since: c.On(t.Name).Since}
		state.Silent = !slices.ContainsFunc(listed, func(l listing) bool { return l.target.Name == t.Name })
		for _, v := range st.Volumes {
			if protected(v) {
				state.Volumes = append(state.Volumes, agentapi.VolumeData{Name: v.Name, At: c.dataOf(v, t.Name, listed)})
			}
		}
		all = append(all, state)
	}
	return all
}

// dataOf returns the time of the newest data of a volume on a target; zero for none.
func (c Condition) dataOf(v project.Volume, target string, listed []listing) time.Time {
	answered := false
	for _, l := range listed {
		if l.target.Name != target {
			continue
		}
		answered = true
		having := slices.DeleteFunc(slices.Clone(l.Infos), func(i snapshot.Info) bool {
			return !slices.Contains(i.Volumes, v.Name) && (v.Formerly == "" || !slices.Contains(i.Volumes, v.Formerly))
		})
		if newest, some := snapshot.Newest(having); some {
			if on := c.On(target); newest.ID == on.Snapshot && !on.Good.IsZero() {
				return on.Good // nothing has changed since
			}
			return newest.Time
		}
	}
	if answered {
		return time.Time{}
	}
	return c.On(target).Good
}

// Late says which targets have data of a stack that is older than their goal. Nothing is
// late of one that is declared stopped.
func Late(host string, st agentapi.StackState, now time.Time) []finding.Finding {
	var found []finding.Finding
	if st.Stopped {
		return nil
	}
	for _, t := range st.Targets {
		oldest, of := t.Oldest()
		f := finding.Finding{
			Code: finding.SnapshotLate, Severity: finding.Warning, Subject: host + "/" + st.Name + "/" + t.Name,
			Text: fmt.Sprintf("the newest data%s that could be restored from %s is %s old, the goal is %s", of, t.Name, now.Sub(oldest).Round(time.Second), t.Goal),
			Fix:  "salvor snapshot take " + st.Name,
		}
		if oldest.IsZero() {
			oldest = t.Since
			f.Text = fmt.Sprintf("no data%s can be restored from %s yet, the first try was %s ago, the goal is %s", of, t.Name, now.Sub(oldest).Round(time.Second), t.Goal)
		}
		if t.Silent {
			f.Text += "; it does not answer now"
		}
		if t.Goal > 0 && !oldest.IsZero() && now.Sub(oldest) > t.Goal+lateBy {
			found = append(found, f)
		}
	}
	return found
}

// goal is how old the data on a target may be: as the target says, or the stack; without
// either, the second try in a row may not be late.
func goal(st agentapi.Stack, t agentapi.Target) time.Duration {
	switch {
	case t.RPO > 0:
		return t.RPO
	case st.RPO > 0:
		return st.RPO
	}
	return 2 * every(st, t)
}
