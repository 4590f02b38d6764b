package agentapi

import (
	"time"

	"salvor/internal/finding"
)

// AskNewest asks a host what the record knows of other hosts' snapshots: of stacks, by
// name, at their placements' epochs.
type AskNewest struct {
	Stacks map[string]int `json:"stacks"`
}

// Newest is the answer to AskNewest: the stacks of which the record has a proven snapshot.
type Newest struct {
	Schema int                       `json:"schema"`
	Stacks map[string]ProvenSnapshot `json:"stacks"`

	Findings []finding.Finding `json:"findings,omitempty"` // by salvor, about the answer
}

// ProvenSnapshot is the newest snapshot of a stack that a host has read back.
type ProvenSnapshot struct {
	ID    string    `json:"id"`
	Epoch int       `json:"epoch"`
	Seq   int       `json:"seq"`
	At    time.Time `json:"at"` // when it was read back
}
