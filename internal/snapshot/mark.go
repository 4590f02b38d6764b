package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"salvor/internal/finding"
	"salvor/internal/snapshot/repository"
)

// A Mark says how far a stack's snapshots have come: the newest one that was
// proven, and the repository that has it. The zero Mark means that nothing is
// known.
type Mark struct {
	Epoch      int       `json:"epoch"`
	Seq        int       `json:"seq"`
	Repository string    `json:"repository"`
	ID         string    `json:"id"`
	At         time.Time `json:"at,omitzero"` // when it was proven; zero where that is not known
}

// Zero reports whether nothing is known.
func (m Mark) Zero() bool { return m.ID == "" }

// Newer reports whether m is further than o.
func (m Mark) Newer(o Mark) bool {
	return cmp.Or(cmp.Compare(m.Epoch, o.Epoch), cmp.Compare(m.Seq, o.Seq)) > 0
}

// Missing reports whether a listing of m's repository lacks the snapshot: it has
// it neither among the good nor among the damaged ones. That something newer is
// listed proves nothing, since retention keeps the proven one: what is newer may be
// planted.
func (m Mark) Missing(l Listing) bool {
	if m.Zero() {
		return false
	}
	_, damaged := l.Find(m.ID)
	return !damaged && !slices.ContainsFunc(l.Infos, func(i Info) bool { return i.ID == m.ID })
}

// Lost is the finding about a listing that lacks the snapshot, and whether it does.
// where names the target, "" for none.
func (m Mark) Lost(l Listing, stack, where string) (finding.Finding, bool) {
	if where == "" {
		where = "the remote"
	}
	f := finding.Finding{
		Code: finding.SnapshotRolledBack, Severity: finding.Fatal, Subject: stack,
		Text: fmt.Sprintf("snapshot %s was proven but is no longer on %s, which lists older ones: the remote was reset "+
			"to an earlier copy, or the snapshot was deleted there", m, where),
		Fix: "bring it back; if it is gone permanently: salvor snapshot take " + stack + " --accept-loss takes a new one of the data on the host",
	}
	if len(l.Infos)+len(l.Damaged) == 0 {
		f.Code = finding.HistoryLost
		f.Text = fmt.Sprintf("snapshot %s was proven, but %s no longer has any of the stack's proven snapshots: is a disk not mounted there?", m, where)
	}
	return f, m.Missing(l)
}

// String names the snapshot with its time, where that is known.
func (m Mark) String() string {
	if m.At.IsZero() {
		return repository.ShortID(m.ID)
	}
	return fmt.Sprintf("%s of %s", repository.ShortID(m.ID), m.At.UTC().Format(time.DateTime))
}
