package deploy

import (
	"maps"
	"slices"

	"salvor/internal/fleet"
)

// A Move is a change of placement: From is "" for a stack that is placed for
// the first time, To is "" for one that is no longer declared.
type Move struct {
	Stack string
	From  string
	To    string
	Epoch int // the new one
}

// Next returns the placements that the wishes in fleet ask for, counted on from
// lock, and the moves that lead there, by stack. The lock given is unchanged.
// past has the highest epochs of names that the lock does not know but that were
// used before: an epoch is never given twice.
//
// A placement keeps what the lock knows of it (repositories, images, volumes)
// across a move; only host and epoch change. A stack that names no host is placed
// nowhere, and stays where it is when it was placed before; so does one whose
// files do not load. A stack that is no
// longer declared leaves the lock; its recovery seal and its repository stay.
func Next(f *fleet.Fleet, lock fleet.Lock, past map[string]int) (fleet.Lock, []Move) {
	next := fleet.Lock{Schema: fleet.Schema, Record: lock.Record, Stacks: map[string]fleet.Placement{}}
	var moves []Move
	for _, s := range f.Stacks {
		was, placed := lock.Placement(s.Name)
		if !placed && (s.Host == "" || s.Broken) {
			continue
		}
		now := clone(was)
		if s.Host != "" && !s.Broken && was.Host != s.Host {
			now.Host, now.Epoch = s.Host, max(was.Epoch, past[s.Name])+1
			now.Restore = nil // said for the placement before
			moves = append(moves, Move{Stack: s.Name, From: was.Host, To: s.Host, Epoch: now.Epoch})
		}
		now.Called = s.Called
		next.Stacks[s.Name] = now
	}
	for _, name := range slices.Sorted(maps.Keys(lock.Stacks)) {
		if _, declared := f.Stack(name); !declared {
			was := lock.Stacks[name]
			moves = append(moves, Move{Stack: name, From: was.Host, Epoch: was.Epoch + 1})
		}
	}
	slices.SortFunc(moves, func(a, b Move) int { return cmpString(a.Stack, b.Stack) })
	return next, moves
}

func clone(p fleet.Placement) fleet.Placement {
	p.Repositories = maps.Clone(p.Repositories)
	p.Former = maps.Clone(p.Former)
	p.Images = maps.Clone(p.Images)
	p.Volumes = maps.Clone(p.Volumes)
	p.Proven = maps.Clone(p.Proven)
	return p
}
