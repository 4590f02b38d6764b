package keeper

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
)

// A keeper keeps the data of the host's stacks.
type Keeper struct {
	*here.Host
	Guard *ownership.Guard
}

// Close ends the connection to the record remote.
func (k *Keeper) Close(ctx context.Context) { k.Guard.Close(ctx) }

func New(h *here.Host) *Keeper {
	return &Keeper{Host: h, Guard: ownership.New(h, ownership.AskWithin)}
}
