package agent

import "context"

// A keeper keeps the data of the host's stacks.
type keeper struct {
	*base
	who *Guard
}

// Close ends the connection to the record remote.
func (k *keeper) Close(ctx context.Context) { k.who.Close(ctx) }

func newKeeper(h *base) *keeper { return &keeper{base: h, who: newGuard(h, askWithin)} }
