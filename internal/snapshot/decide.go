package snapshot

import (
	"fmt"

	"salvor/internal/project"
)

// History is what the stack's repository holds of a volume.
type History string

// The histories.
const (
	HistoryNone    History = "none"    // the repository answers and has no snapshot with this volume
	HistorySome    History = "some"    // at least one that restore may pick
	HistoryUnknown History = "unknown" // the remote does not answer
)

// Facts are what decides whether a volume may start.
type Facts struct {
	Stack    string   // its name, for hints
	Marker   Marker   // zero when there is none
	Found    Presence // see Look
	Identity string   // whose data it must be, see Identity
	Epoch    int      // of the placement
	Born     bool     // by the lock, or by a fact of this epoch
	New      bool     // the stack has no seal for this host yet, so it never ran here at this epoch
	Renamed  bool     // its data of this placement is under the name that it had before
	Ran      bool     // it is proven that the volume was in use here at this epoch, so what is here is its newest data
	History  History
	Consent  project.Consent // "" for nothing said
}

// Action is what to do with a volume before its stack starts.
type Action string

// The actions.
const (
	Ready      Action = "ready"       // its data is here
	Accept     Action = "accept"      // its data is here, and a marker has to say so
	Rename     Action = "rename"      // its data is here, under the name that it had before
	StartEmpty Action = "start empty" // it is new, or started fresh; what is there is moved aside
	Hydrate    Action = "hydrate"     // what is there is moved aside, the newest snapshot takes its place
	Refuse     Action = "refuse"
)

// A Decision is an action with its reason, and for Refuse the next command.
type Decision struct {
	Action   Action
	Reason   string
	Hint     string
	Occupied bool // refused because of data that is there: a person decides about it
}

// Decide says what must happen before a volume's stack starts (design, rule 2). The
// marker decides, never emptiness. Without a marker of this placement the newest
// snapshot counts, and the data there belongs to no one, with two exceptions: where
// it is proven that the volume was in use here at this epoch, only notes were lost;
// and data of which nothing is known is not replaced unasked.
func Decide(f Facts) Decision {
	m := f.Marker
	mine := m.State != "" && m.Identity == f.Identity
	now := mine && m.Epoch == f.Epoch
	switch {
	case mine && m.Epoch > f.Epoch:
		return refuse(fmt.Sprintf("the data here belongs to epoch %d, newer than the placement's %d", m.Epoch, f.Epoch), "pull "+
			"the newest commit, then run salvor apply")
	case now && f.Found == Marked:
		// whatever the consent: a fresh start has another repository, so
		// another identity, and is not repeated by the next apply
		return Decision{Action: Ready, Reason: "its data is ready"}
	case f.Consent == project.ConsentFresh:
		return Decision{Action: StartEmpty, Reason: "the operator chose to start fresh; the data here is set aside"}
	case f.Renamed:
		return Decision{Action: Rename, Reason: "it was renamed and keeps its data"}
	case f.Consent == project.ConsentAdopt:
		return Decision{Action: Accept, Reason: "it is taken over as it runs"}
	case f.Consent == project.ConsentTake && f.Found != Nothing:
		return Decision{Action: Accept, Reason: "the operator chose the data that is here"}
	case f.notesLost(mine):
		return Decision{Action: Accept, Reason: f.unread() + "the data here is its newest: it was in use here at this epoch"}
	case now && f.Found == Replaced && f.Consent != project.ConsentRestore:
		return f.occupied("in the place of its data there is another folder, with data in it")
	case f.History == HistoryUnknown && f.unknownData(mine) && (f.New || !f.Born && !mine) && f.Consent == "":
		return f.occupied(f.unread() + "there is already data in the place of the volume")
	case f.History == HistoryUnknown:
		return refuse(f.unread()+"its data is not ready here, and the snapshot remote does not answer", "run salvor apply once the remote answers")
	}
	return f.decideUnready(mine)
}

// decideUnready is for a volume that has no data of this placement here, while the
// repository answers. mine: there is data of an earlier epoch, or a hydration that
// was interrupted, so the volume was born whatever the lock says.
func (f Facts) decideUnready(mine bool) Decision {
	has, born := f.History == HistorySome, f.Born || mine
	switch {
	case has && f.Consent == project.ConsentRestore:
		return Decision{Action: Hydrate, Reason: "the newest snapshot is restored"}
	case f.Consent == project.ConsentRestore:
		return refuse("there is no snapshot to restore", "salvor apply --fresh "+f.Stack+" starts empty; the data here is set aside")
	case has && !born:
		return refuse("the volume is new in salvor.lock, but its repository has snapshots of that name", fmt.Sprintf("salvor "+
			"apply --restore %[1]s uses them; --fresh %[1]s starts empty in a new repository", f.Stack))
	case has && f.unknownData(mine):
		return f.occupied(f.unread() + "there is data in its place, and Salvor does not know whether it belongs to the stack")
	case has:
		return Decision{Action: Hydrate, Reason: f.missing(mine) + "the newest snapshot is restored"}
	case born && f.Found != Nothing:
		return refuse(f.unread()+"the volume's data is not in any snapshot; the data here may be it", "salvor apply --take "+f.Stack+" "+
			"uses the data that is here")
	case born:
		return refuse("the volume had data, but there is no snapshot of it",
			fmt.Sprintf("salvor move %[1]s --to HOST, to the host with its data, then salvor apply --take %[1]s; if the "+
				"data is lost: salvor apply --fresh %[1]s starts empty", f.Stack))
	case f.Found != Nothing:
		return f.occupied(f.unread() + "there is already data in the place of the new volume")
	}
	return Decision{Action: StartEmpty, Reason: "the volume is new"}
}

// notesLost reports whether what is here is the volume's newest data, and only what
// Salvor noted of it is gone.
func (f Facts) notesLost(mine bool) bool {
	hydrating := mine && f.Marker.State == MarkedHydrating
	another := f.Marker.State != "" && !mine              // the stack was started fresh since
	late := f.Found == Marked && f.Marker.Epoch < f.Epoch // notes of an earlier day
	return f.Ran && (f.Found == Unmarked || late) && !hydrating && !another && f.Consent != project.ConsentRestore
}

// unknownData reports whether data is here of which nothing is known. What is in the
// place of a hydration that was interrupted was seen before that began.
func (f Facts) unknownData(mine bool) bool {
	hydrating := mine && f.Marker.State == MarkedHydrating
	return (f.Found == Unmarked || f.Found == Replaced) && !hydrating
}

func (f Facts) unread() string {
	if f.Marker.Unread == "" {
		return ""
	}
	return "its marker can't be read (" + f.Marker.Unread + "); "
}

func (f Facts) missing(mine bool) string {
	if mine && f.Marker.State == MarkedReady && f.Marker.Epoch == f.Epoch && f.Found == Nothing {
		return "the volume that held its data is gone; "
	}
	return f.unread()
}

func refuse(reason, hint string) Decision {
	return Decision{Action: Refuse, Reason: reason, Hint: hint}
}

// occupied refuses to replace data of unknown origin.
func (f Facts) occupied(reason string) Decision {
	hint := fmt.Sprintf("salvor apply --take %[1]s uses it as the stack's data; --restore %[1]s restores the newest "+
		"snapshot, --fresh %[1]s starts empty, and both set it aside", f.Stack)
	return Decision{Action: Refuse, Occupied: true, Reason: reason, Hint: hint}
}
