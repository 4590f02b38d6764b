package agent

import (
	"salvor/internal/agent/here"
)

// Edges are where a host meets the world beyond its machine. Each one that is nil is a
// real host's.
type Edges = here.Edges

// OpenFolder opens a place on one of a stack's remotes.
type OpenFolder = here.OpenFolder

// A ControlCopy is a host's copy of the control repository's branch.
type ControlCopy = here.ControlCopy
