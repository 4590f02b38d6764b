package keeper

import (
	"salvor/internal/agent/here"
)

// owing makes of a snapshot the one that a restore owes, if it does.
func (k *Keeper) withOwed(stack string, t Taking) Taking {
	if k.Wishes(stack).Owed != "" && !t.Diverged {
		t.Force, t.Keep, t.Accept = true, true, true
	}
	return t
}

// paid notes that the owed snapshot is taken.
func (k *Keeper) settleOwed(stack string) {
	if k.Wishes(stack).Owed != "" {
		k.ChangeWishes(stack, func(w *here.Wishes) { w.Owed = "" })
	}
}
