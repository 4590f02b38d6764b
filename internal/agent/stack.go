package agent

import (
	"salvor/internal/agentapi"
	"salvor/internal/secret/agekey"
)

// A Stack is one stack on this host now: what the host is asked to be, and what the
// stack's seal opens once that is asked for.
type Stack struct {
	*base
	agentapi.Stack
	Spec   agentapi.Host
	access *access
}

func (h *base) at(spec agentapi.Host, st agentapi.Stack) *Stack {
	return &Stack{base: h, Spec: spec, Stack: st}
}

// key returns the recipient of the host's identity, "" where it can't be read.
func (h *base) key() string {
	key, err := agekey.OpenHost(h.Paths.Identity())
	if err != nil {
		return ""
	}
	return key.Recipient
}
