package agent

import (
	"context"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Keys says which machine this host is.
func (h *Host) Keys(context.Context, agentapi.AskKeys, progress.Sink) (agentapi.HostKeys, error) {
	return agentapi.HostKeys{Schema: agentapi.Schema, Recipient: h.base().Recipient(), Signer: h.base().Signer()}, nil
}
