package snapshot

import (
	"cmp"
	"time"
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
// it neither among the good nor among the damaged ones, nor anything newer.
func (m Mark) Missing(l Listing) bool {
	if m.Zero() {
		return false
	}
	if _, damaged := l.Find(m.ID); damaged {
		return false
	}
	for _, i := range l.Infos {
		if i.ID == m.ID || !i.Diverged && (Mark{Epoch: i.Epoch, Seq: i.Seq}).Newer(m) {
			return false
		}
	}
	return true
}
