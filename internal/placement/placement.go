// Package placement says on which host each stack runs: every change of salvor.lock
// is one of its functions, which takes a lock and returns another, with the moves
// that lead there. Nothing is read or written, and a lock that is given is never
// changed.
package placement

import (
	"fmt"
	"maps"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/suggest"
)

// A Move is a change of placement: From is "" for a stack that is placed for
// the first time, To is "" for one that is no longer declared.
type Move struct {
	Stack string
	From  string
	To    string
	Epoch int // the new one
}

// Of returns the placement of a stack. A stack without one is an error that says how
// it gets one.
func Of(lock fleet.Lock, stack string) (fleet.Placement, error) {
	p, placed := lock.Placement(stack)
	if !placed {
		return p, fault.WithHint(fmt.Errorf("stack %s is not placed anywhere", stack), "salvor apply")
	}
	return p, nil
}

// Host returns a declared host. The error about another one names the host that was
// probably meant.
func Host(f *fleet.Fleet, name string) (fleet.Host, error) {
	h, declared := f.Host(name)
	if declared {
		return h, nil
	}
	var known []string
	for _, each := range f.Hosts {
		known = append(known, each.Name)
	}
	return h, fault.WithHint(fmt.Errorf("host %s is not declared%s", name, suggest.DidYouMean(name, known)), "salvor host ls")
}

// Only returns the placements for which keep is true, those of hosts' own data by its name,
// without the record's place.
func Only(lock fleet.Lock, keep func(stack string, p fleet.Placement) bool) fleet.Lock {
	some := fleet.Lock{Schema: lock.Schema, Stacks: maps.Clone(lock.Stacks), Hosts: maps.Clone(lock.Hosts), Tailnet: maps.Clone(lock.Tailnet)}
	maps.DeleteFunc(some.Stacks, func(stack string, p fleet.Placement) bool { return !keep(stack, p) })
	maps.DeleteFunc(some.Hosts, func(host string, p fleet.Placement) bool { return !keep(fleet.Own(host), p) })
	return some
}

// changed returns the lock with one placement changed; without it, the lock as it is.
func changed(lock fleet.Lock, stack string, change func(*fleet.Placement)) fleet.Lock {
	p, placed := lock.Placement(stack)
	if !placed {
		return lock
	}
	p = clone(p)
	change(&p)
	next := lock.Copy()
	if host, own := fleet.OwnerOf(stack); own {
		next.Hosts[host] = p
	} else {
		next.Stacks[stack] = p
	}
	return next
}

func clone(p fleet.Placement) fleet.Placement {
	p.Repositories = maps.Clone(p.Repositories)
	p.Former = maps.Clone(p.Former)
	p.Images = maps.Clone(p.Images)
	p.Volumes = maps.Clone(p.Volumes)
	p.Proven = maps.Clone(p.Proven)
	return p
}
