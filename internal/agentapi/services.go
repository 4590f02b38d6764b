package agentapi

import "salvor/internal/finding"

// AskServices asks which containers stacks have on a host. The engine is asked, and
// nothing outside the host.
type AskServices struct {
	Stacks []string `json:"stacks"`
}

// ServiceList is the answer to AskServices: the stacks that were asked for, as far as
// the host has something of them.
type ServiceList struct {
	Schema int             `json:"schema"`
	Stacks []StackServices `json:"stacks"`

	Findings []finding.Finding `json:"findings,omitempty"` // by salvor, about the answer
}

// StackServices are one stack's services.
type StackServices struct {
	Name     string       `json:"name"`
	Stopped  bool         `json:"stopped,omitempty"` // declared so: salvor down
	Lost     bool         `json:"lost,omitempty"`    // another host has taken it over
	Services []ServiceRow `json:"services"`

	Failed *FailedDeploy `json:"failed,omitempty"` // the last deploy, where it did not become healthy
}

// A ControlAction is what is done with services by hand.
type ControlAction string

// The actions.
const (
	ActionRestart ControlAction = "restart"
	ActionStart   ControlAction = "start"
	ActionStop    ControlAction = "stop"
)

// Control asks a host to restart, start or stop services of what is deployed there.
// Service is "" for all of the stack's, which only a restart may be of.
type Control struct {
	Stack   string        `json:"stack"`
	Service string        `json:"service,omitempty"`
	Action  ControlAction `json:"action"`
	Owner   string        `json:"owner"`
}

// Controlled is the answer to Control: the stack's services afterwards.
type Controlled struct {
	Schema   int          `json:"schema"`
	Stack    string       `json:"stack"`
	Services []ServiceRow `json:"services"`
}
