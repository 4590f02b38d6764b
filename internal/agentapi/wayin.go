package agentapi

import "time"

// The verbs that change how one gets in to a host: what sshd accepts, and its firewall. Only an operator
// asks for it, since a change counts only once it is confirmed over a new connection.
const (
	VerbWayIn        = "way-in"
	VerbWayInConfirm = "way-in-confirm"
	VerbWayInUndo    = "way-in-undo"
)

// ChangeWayIn asks a host to make its way in as Host says.
type ChangeWayIn struct {
	Host    Host   `json:"host"`
	Owner   string `json:"owner"`
	Message string `json:"message"`
}

// WayInChanged is the answer to ChangeWayIn. The host takes the change back unless ConfirmWayIn with ID comes in time.
type WayInChanged struct {
	Changed []Change      `json:"changed,omitempty"`
	ID      string        `json:"id,omitempty"`     // "" where nothing has to be confirmed
	Within  time.Duration `json:"within,omitempty"` // how long the host waits
}

// ConfirmWayIn says, over a connection that was made after the change, that one still gets in.
type ConfirmWayIn struct {
	ID string `json:"id"`
}

// UndoWayIn asks to take the change back at once. One that was confirmed or taken back is left as it is.
type UndoWayIn struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// WayInDone is the answer to ConfirmWayIn and UndoWayIn.
type WayInDone struct{}
