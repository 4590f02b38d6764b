package here

import (
	"slices"
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
type Wishes struct {
	stamp
	Done   string      `json:"done,omitempty"` // id of the last that was fulfilled
	Owed   string      `json:"owed,omitempty"` // id of the one whose data no snapshot holds as the newest yet
	Failed *FailedWish `json:"failed,omitempty"`
}

// A FailedWish is a restore that could not be done.
type FailedWish struct {
	ID  string    `json:"id"`
	At  time.Time `json:"at"`
	Why string    `json:"why"`
}

// WishesPath is the file of a stack's wishes.
func (h *Host) WishesPath(stack string) string {
	return h.Paths.Wish(stack)
}

// Wishes returns the note of a stack's wishes, empty when there is none.
func (h *Host) Wishes(stack string) Wishes { return readNote[Wishes](h.WishesPath(stack)) }

// ChangeWishes notes what became of a wish. A full disk keeps no stack from
// starting: what is in place the markers say, too.
func (h *Host) ChangeWishes(stack string, change func(*Wishes)) {
	w := h.Wishes(stack)
	change(&w)
	if err := writeNote(h.WishesPath(stack), &w); err != nil {
		h.Trouble("wishes", err)
	}
}

// Wish returns how a stack's wish stands, nil when there is none.
func (s *Stack) Wish() *agentapi.Wish {
	if s.Restore == nil {
		return nil
	}
	wish, w := &agentapi.Wish{ID: s.Restore.ID, State: agentapi.WishPending}, s.Host.Wishes(s.Name)
	switch {
	case w.Done == wish.ID || s.inPlace(wish.ID, s.Wished()):
		wish.State = agentapi.WishDone
	case w.Failed != nil && w.Failed.ID == wish.ID && s.AllReady() == nil:
		wish.State, wish.At, wish.Why = agentapi.WishFailed, w.Failed.At, w.Failed.Why
	}
	return wish
}

// MayForget reports whether snapshots of the stack may be forgotten. While a restore
// waits, the one that it wants may be too old for the policy by now.
func (s *Stack) MayForget() bool {
	w := s.Wish()
	return w == nil || w.State == agentapi.WishDone
}

// Wished are the protected volumes that the stack's wish takes back.
func (s *Stack) Wished() []snapshot.Volume {
	return slices.DeleteFunc(s.Protected(), func(v snapshot.Volume) bool { return !s.Restore.Takes(v.Name) })
}

// InPlace reports whether a wish has put the data of every volume in its place.
func (s *Stack) InPlace(id string) bool { return s.inPlace(id, s.Protected()) }

func (s *Stack) inPlace(id string, volumes []snapshot.Volume) bool {
	for _, v := range volumes {
		m := s.Host.Snapshots.Marker(s.Name, v.Name)
		if m.State != snapshot.MarkedReady || m.Epoch != s.Epoch || m.Wish != id {
			return false
		}
	}
	return len(volumes) > 0
}

// NoteDone remembers that a wish is fulfilled, and that its snapshot is owed. A run
// that was interrupted between the data and this note leaves it to the next.
func (h *Host) NoteDone(stack, id string) {
	if h.Wishes(stack).Done != id {
		h.ChangeWishes(stack, func(w *Wishes) { w.Done, w.Owed, w.Failed = id, id, nil })
	}
}
