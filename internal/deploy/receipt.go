package deploy

import (
	"time"

	"salvor/internal/agentapi"
)

// A Receipt is what a run did, how long each part took, and what is left for a
// human.
type Receipt struct {
	Schema  int                    `json:"schema"`
	Kind    string                 `json:"kind"` // "apply", "move", "recover"
	Fleet   string                 `json:"fleet"`
	Commit  string                 `json:"commit"`
	Began   time.Time              `json:"began"`
	Ended   time.Time              `json:"ended"`
	Phases  []agentapi.Phase       `json:"phases"`
	Hosts   []agentapi.HostReceipt `json:"hosts"`
	Pending []string               `json:"pending,omitempty"` // what a human must still do
}

// Stacks returns every stack's receipt with the host it is on.
func (r *Receipt) Stacks() map[string]agentapi.StackReceipt {
	all := map[string]agentapi.StackReceipt{}
	for _, h := range r.Hosts {
		for _, s := range h.Stacks {
			all[s.Name] = s
		}
	}
	return all
}

// Failed returns the stacks that did not come up.
func (r *Receipt) Failed() []agentapi.StackReceipt {
	var failed []agentapi.StackReceipt
	for _, h := range r.Hosts {
		for _, s := range h.Stacks {
			if s.Error != nil {
				failed = append(failed, s)
			}
		}
	}
	return failed
}
