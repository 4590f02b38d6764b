package app

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
)

// Stack is Named for a stack that must be there: declared, or still placed. The error
// about another one names the stack that was probably meant.
func (a *App) Stack(name string) (string, error) {
	stack, lock := a.Named(name), a.Lock()
	if _, declared := a.Fleet().Stack(stack); declared {
		return stack, nil
	}
	if _, placed := lock.Stacks[stack]; placed {
		return stack, nil
	}
	known := slices.Collect(maps.Keys(lock.Stacks))
	for _, st := range a.Fleet().Stacks {
		known = append(known, cmp.Or(st.Called, st.Name))
	}
	err := fmt.Errorf("there is no stack %q%s", name, suggest.DidYouMean(name, known))
	return "", fault.WithCode(fault.WithHint(err, "salvor status shows the stacks"), fault.Usage)
}

// Kept is Stack for what snapshots are taken of: also a host's own data, host.NAME.
func (a *App) Kept(name string) (string, error) {
	host, own := fleet.OwnerOf(name)
	if !own {
		return a.Stack(name)
	}
	if p, has := a.Lock().Hosts[host]; has && len(p.Repositories) > 0 {
		return name, nil
	}
	err := fmt.Errorf("snapshots keep nothing of host %q", host)
	return "", fault.WithCode(fault.WithHint(err, "declare its folders in fleet.yaml, hosts."+host+".protect; then salvor apply"), fault.Usage)
}

// Archived is Kept for what has snapshots that can be read, also if it is declared no longer:
// any that ever had a repository.
func (a *App) Archived(name string) (string, error) {
	known, err := a.Kept(name)
	if err == nil {
		return known, nil
	}
	if all, unread := a.withRepositories(); unread == nil && slices.Contains(all, name) {
		return name, nil
	}
	return "", err
}
