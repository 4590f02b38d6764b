package snapshot

import (
	"fmt"

	"salvor/internal/agentapi"
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
	Marker   Marker // zero when there is none
	Identity string // whose data it must be, see Identity
	Epoch    int    // of the placement
	Born     bool   // by the lock, or by a fact of this epoch
	History  History
	Consent  agentapi.Consent // "" for nothing said
}

// Action is what to do with a volume before its stack starts.
type Action string

// The actions.
const (
	Ready      Action = "ready"       // its data is here
	StartEmpty Action = "start empty" // it is new; what lies there is moved aside
	Hydrate    Action = "hydrate"     // what lies there is moved aside, the newest snapshot takes its place
	Refuse     Action = "refuse"
)

// A Decision is an action with its reason, and for Refuse the next command.
type Decision struct {
	Action Action
	Reason string
	Hint   string // STACK stands for its name
}

// Decide says what must happen before a volume's stack starts (design, rule 2).
// The marker decides, never emptiness: no marker of this placement means that
// what lies there is not this volume's newest data.
func Decide(f Facts) Decision {
	m := f.Marker
	mine := m.State != "" && m.Identity == f.Identity
	switch {
	case mine && m.Epoch > f.Epoch:
		return Decision{Refuse, fmt.Sprintf("the data here belongs to epoch %d, newer than the placement's %d", m.Epoch, f.Epoch), "pull the newest commit, then salvor apply"}
	case mine && m.Epoch == f.Epoch && m.State == MarkedReady:
		// whatever the consent: a fresh start has another repository, so
		// another identity, and is not repeated by the next apply
		return Decision{Ready, "its data is ready", ""}
	case f.Consent == agentapi.ConsentFresh:
		return Decision{StartEmpty, "the operator chose to start fresh", ""}
	case f.History == HistoryUnknown:
		return Decision{Refuse, "its data is not ready here, and the snapshot remote does not answer", "salvor apply, once the remote answers"}
	}
	return decideUnready(f, mine)
}

// decideUnready is for a volume that has no data of this placement here, while
// the repository answers. mine: there is data of an earlier epoch, or a
// hydration that was cut short, so the volume was born whatever the lock says.
func decideUnready(f Facts, mine bool) Decision {
	has := f.History == HistorySome
	switch {
	case has && (f.Born || mine || f.Consent == agentapi.ConsentRestore):
		return Decision{Hydrate, "the newest snapshot is restored", ""}
	case has:
		return Decision{Refuse, "the volume is new in the lock, yet its repository has snapshots of that name", "salvor apply --restore STACK takes them; --fresh STACK starts empty in a new repository"}
	case f.Consent == agentapi.ConsentRestore:
		return Decision{Refuse, "there is no snapshot to restore", "salvor apply --fresh STACK starts empty"}
	case f.Born || mine:
		return Decision{Refuse, "the volume had data, and there is no snapshot of it", "bring the data back by hand, or salvor apply --fresh STACK starts empty"}
	}
	return Decision{StartEmpty, "the volume is new", ""}
}
