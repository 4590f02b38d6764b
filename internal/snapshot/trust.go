package snapshot

import (
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/snapshot/repository"
)

// Trust says which snapshots of a repository may be believed. Anyone who has the
// remote's credential and a password can put a snapshot there with any numbers. The
// zero Trust believes all.
type Trust struct {
	Epoch  int      // the placement's; no snapshot is of a later one
	Proven Mark     // the newest that was proven; nothing newer is picked automatically
	Known  []string // all that were there when Proven was proven; nil where that is not known
}

// judge takes out of a listing what is not to be believed. Diverged snapshots are
// picked by their id only, so their numbers don't count.
func (t Trust) judge(l Listing) Listing {
	believed := l.Infos[:0:0]
	for _, i := range l.Infos {
		switch {
		case t.Epoch > 0 && i.Epoch > t.Epoch:
			l.Future = append(l.Future, i)
		case !i.Diverged && !t.proven(i):
			l.Unproven = append(l.Unproven, i)
			if slices.Contains(t.Known, i.ID) {
				l.begun = append(l.begun, i.ID)
			}
		default:
			believed = append(believed, i)
		}
	}
	l.Infos = believed
	return l
}

// proven reports whether a snapshot is the proven one or belongs to its past. What is
// put there later with numbers of the past would push out what was.
func (t Trust) proven(i Info) bool {
	if t.Proven.Zero() || i.ID == t.Proven.ID {
		return true
	}
	past := t.Proven.Newer(Mark{Epoch: i.Epoch, Seq: i.Seq})
	return past && (t.Known == nil || slices.Contains(t.Known, i.ID))
}

// Distrusted are the findings about snapshots that are skipped, but for those that
// this host is taking or was interrupted in.
func (l Listing) Distrusted(stack string) []finding.Finding {
	var found []finding.Finding
	if n := len(l.Future); n > 0 {
		worst := slices.MaxFunc(l.Future, Compare)
		found = append(found, finding.Finding{
			Code: finding.SnapshotFuture, Severity: finding.Warning, Subject: stack,
			Text: fmt.Sprintf("%d of its snapshots have an epoch that the placement has not reached, such as %s (epoch "+
				"%d): they were not taken by a host of the fleet, and do not count", n, repository.ShortID(worst.ID), worst.Epoch),
			Fix: "find out who can write to the remote; salvor snapshot ls " + stack + " lists them",
		})
	}
	strange := slices.DeleteFunc(slices.Clone(l.Unproven), func(i Info) bool { return slices.Contains(l.begun, i.ID) })
	if n := len(strange); n > 0 {
		newest := slices.MaxFunc(strange, Compare)
		found = append(found, finding.Finding{
			Code: finding.SnapshotUnproven, Severity: finding.Warning, Subject: stack,
			Text: fmt.Sprintf("%d of its snapshots are not proven, such as %s (epoch %d, number %d): a host was "+
				"interrupted, or someone else put them there; they are only restored by their id", n, repository.ShortID(newest.ID), newest.Epoch, newest.Seq),
			Fix: "salvor snapshot take " + stack + " takes a proven one; salvor restore " + stack + " --snapshot ID restores an unproven one anyway",
		})
	}
	return found
}
