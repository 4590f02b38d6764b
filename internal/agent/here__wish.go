package agent

import (
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
)

// A restore that the operator wished (fleet.Restore) is fulfilled once, by
// whichever run comes first:
//
//	pending ──data in place──▶ done, its snapshot owed ──taken──▶ done
//	   └──it can't be──▶ failed, until the operator asks again or withdraws it
//
// That the data is in place is written in the volumes' markers, in the same write
// that calls them ready. These notes follow.
type wishes struct {
	stamp
	Done   string      `json:"done,omitempty"` // id of the last that was fulfilled
	Owed   string      `json:"owed,omitempty"` // id of the one whose data no snapshot holds as the newest yet
	Failed *failedWish `json:"failed,omitempty"`
}

type failedWish struct {
	ID  string    `json:"id"`
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

func (h *base) wishesPath(stack string) string {
	return h.Paths.Wish(stack)
}

func (h *base) wishes(stack string) wishes { return readNote[wishes](h.wishesPath(stack)) }

// changeWishes notes what became of a wish. A full disk keeps no stack from
// starting: what is in place the markers say, too.
func (h *base) changeWishes(stack string, change func(*wishes)) {
	w := h.wishes(stack)
	change(&w)
	if err := writeNote(h.wishesPath(stack), &w); err != nil {
		h.trouble("wishes", err)
	}
}

// standing returns how a stack's wish stands, nil when there is none.
func (s *Stack) standing() *agentapi.Wish {
	if s.Restore == nil {
		return nil
	}
	wish, w := &agentapi.Wish{ID: s.Restore.ID, State: agentapi.WishPending}, s.wishes(s.Name)
	switch {
	case w.Done == wish.ID || s.inPlace(wish.ID):
		wish.State = agentapi.WishDone
	case w.Failed != nil && w.Failed.ID == wish.ID && s.allReady() == nil:
		wish.State, wish.At, wish.Why = agentapi.WishFailed, w.Failed.At, w.Failed.Why
	}
	return wish
}

// inPlace reports whether a wish has put the data of every volume in its place.
func (s *Stack) inPlace(id string) bool {
	volumes := s.protected()
	for _, v := range volumes {
		m := s.Snapshots.Marker(s.Name, v.Name)
		if m.State != snapshot.MarkedReady || m.Epoch != s.Epoch || m.Wish != id {
			return false
		}
	}
	return len(volumes) > 0
}

// noteDone remembers that a wish is fulfilled, and that its snapshot is owed. A
// run that was cut short between the data and this note leaves it to the next.
func (h *base) noteDone(stack, id string) {
	if h.wishes(stack).Done != id {
		h.changeWishes(stack, func(w *wishes) { w.Done, w.Owed, w.Failed = id, id, nil })
	}
}
