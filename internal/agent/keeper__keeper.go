package agent

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
)

// A keeper keeps the data of the host's stacks.
type keeper struct {
	*here.Host
	who *ownership.Guard
}

// Close ends the connection to the record remote.
func (k *keeper) Close(ctx context.Context) { k.who.Close(ctx) }

func newKeeper(h *here.Host) *keeper {
	return &keeper{Host: h, who: ownership.New(h, ownership.AskWithin)}
}
