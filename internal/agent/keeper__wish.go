package agent

import (
	"salvor/internal/agent/here"
)

// owing makes of a snapshot the one that a restore owes, if it does.
func (k *keeper) owing(stack string, t taking) taking {
	if k.Wishes(stack).Owed != "" && !t.diverged {
		t.force, t.keep, t.accept = true, true, true
	}
	return t
}

// paid notes that the owed snapshot is taken.
func (k *keeper) paid(stack string) {
	if k.Wishes(stack).Owed != "" {
		k.ChangeWishes(stack, func(w *here.Wishes) { w.Owed = "" })
	}
}
