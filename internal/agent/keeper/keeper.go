package keeper

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/ownership"
)

// A Keeper keeps the data of the host's stacks.
type Keeper struct {
	*here.Host
	Guard *ownership.Guard
}

// Close ends the connection to the record remote.
func (k *Keeper) Close(ctx context.Context) { k.Guard.Close(ctx) }

// New returns the keeper of a host. Close it when done.
func New(h *here.Host) *Keeper {
	return &Keeper{Host: h, Guard: ownership.New(h, ownership.AskWithin)}
}

// withOwed makes of a snapshot the one that a restore owes, if it does.
func (k *Keeper) withOwed(stack string, t Taking) Taking {
	if k.Wishes(stack).Owed != "" && !t.Diverged {
		t.Force, t.Keep, t.Accept = true, true, true
	}
	return t
}

// settleOwed notes that the owed snapshot is taken.
func (k *Keeper) settleOwed(stack string) {
	if k.Wishes(stack).Owed != "" {
		k.ChangeWishes(stack, func(w *here.Wishes) { w.Owed = "" })
	}
}
