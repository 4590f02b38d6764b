package agentapi

// VerbConverge prepares a host, and neither starts nor stops a stack. Programs that are not
// salvor call it, so it answers with one Converged instead of Messages, and ends with the
// code of its Error: 0 without one.
const VerbConverge = "converge"

// Converge asks a host to be prepared as an Apply prepares it. It has no secret.
type Converge struct {
	Host   Host   `json:"host"`             // without stacks, and without what it has of its own: those stay as they are
	SQLite bool   `json:"sqlite,omitempty"` // a stack that is declared for it has databases of SQLite
	Owner  string `json:"owner"`            // "alice@laptop", for the error of a second run
}

// Converged is the answer to Converge, with an Error or without.
type Converged struct {
	Schema   int    `json:"schema"`
	Salvord  string `json:"salvord"`            // the version that answers
	Outdated bool   `json:"outdated,omitempty"` // the salvord of the salvor that made the request takes its place
	Check    bool   `json:"check,omitempty"`    // nothing was changed
	Changed  bool   `json:"changed"`            // something was not as it should be; with Check it still is not

	Resources []Converging `json:"resources"`
	Left      []LeftArea   `json:"left,omitempty"` // areas of the request that stay as they are
	Error     *Error       `json:"error,omitempty"`
}

// Converging is one resource: what had to change, and what became of it.
type Converging struct {
	ID       string          `json:"id"`
	State    ConvergingState `json:"state"`
	Action   string          `json:"action,omitempty"` // "" for what is right, else as in Change
	Cause    string          `json:"cause,omitempty"`
	Destroys string          `json:"destroys,omitempty"`
	Text     string          `json:"text,omitempty"` // why it failed or was skipped
}

// ConvergingState is what became of a resource.
type ConvergingState string

// The states of a resource.
const (
	ConvergingRight   ConvergingState = "right"   // it was as it should be
	ConvergingPending ConvergingState = "pending" // it would be changed
	ConvergingDone    ConvergingState = "done"
	ConvergingFailed  ConvergingState = "failed"
	ConvergingSkipped ConvergingState = "skipped" // one that comes first failed
)

// LeftArea is an area that only an apply takes care of.
type LeftArea struct {
	Area string `json:"area"`
	Why  string `json:"why"`
}
