package fleet

import "time"

// A Hook is a command that runs in a service's container before or after a snapshot.
type Hook struct {
	Service string        `json:"service"`
	User    string        `json:"user,omitempty"` // "" for the image's
	Command []string      `json:"command"`
	Limit   time.Duration `json:"limit"` // after which it counts as failed

	Position string `json:"-"` // "stacks/notes/compose.yaml:12:5", for messages
}

// DefaultHookLimit is how long a hook may take where nothing else is said.
const DefaultHookLimit = time.Minute

// Hooks run around each snapshot of a stack, in this order. Those after it always run once one before it has begun.
type Hooks struct {
	Before []Hook `json:"before,omitempty"`
	After  []Hook `json:"after,omitempty"`
}

// None reports whether there are none.
func (h Hooks) None() bool { return len(h.Before)+len(h.After) == 0 }
