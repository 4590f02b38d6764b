package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/suggest"
)

// Stack is Named for a stack that must be there: declared, or still placed. The error
// about another one names the stack that was probably meant.
func (a *App) Stack(name string) (string, error) {
	stack, lock := a.Named(name), a.Lock()
	if _, declared := a.Fleet().Stack(stack); declared {
		return stack, nil
	}
	if _, placed := lock.Placement(stack); placed {
		return stack, nil
	}
	known := slices.Collect(maps.Keys(lock.Stacks))
	for _, st := range a.Fleet().Stacks {
		known = append(known, cmp.Or(st.Called, st.Name))
	}
	err := fmt.Errorf("there is no stack %q%s", name, suggest.DidYouMean(name, known))
	return "", fault.WithCode(fault.WithHint(err, "salvor status shows the stacks"), fault.Usage)
}
