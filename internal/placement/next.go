package placement

import (
	"cmp"
	"maps"
	"slices"

	"salvor/internal/fleet"
)

// Next returns the placements that fleet.yaml and the Compose files ask for, counted
// on from lock, and the moves that lead there, by stack.
// past has the highest epochs of names that the lock does not know but that were
// used before: an epoch is never given twice.
//
// A placement keeps what the lock knows of it (repositories, images, volumes)
// across a move; only host and epoch change. A stack that names no host is placed
// nowhere, and stays where it is when it was placed before; so does one whose
// files do not load. A stack that is no
// longer declared leaves the lock; its recovery seal and its repository stay.
func Next(f *fleet.Fleet, lock fleet.Lock, past map[string]int) (fleet.Lock, []Move) {
	next := fleet.Lock{Schema: fleet.Schema, Record: lock.Record, Stacks: map[string]fleet.Placement{}, Hosts: maps.Clone(lock.Hosts), Tailnet: maps.Clone(lock.Tailnet)}
	var moves []Move
	for _, s := range f.Stacks {
		was, placed := lock.Placement(s.Name)
		if !placed && (s.Host == "" || s.Broken) {
			continue
		}
		now := clone(was)
		if s.Host != "" && !s.Broken && was.Host != s.Host {
			m := Move{Stack: s.Name, From: was.Host, To: s.Host, Epoch: max(was.Epoch, past[s.Name]) + 1}
			m.do(&now)
			moves = append(moves, m)
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
	slices.SortFunc(moves, func(a, b Move) int { return cmp.Compare(a.Stack, b.Stack) })
	return Owns(f, next), moves
}

// Owns returns the lock with a place for what declared hosts have of their own under it. A
// place that is there stays: it leads to snapshots. The images of a host that has no project of
// its own leave it.
func Owns(f *fleet.Fleet, lock fleet.Lock) fleet.Lock {
	next := lock.Copy()
	for _, h := range f.Hosts {
		p, has := next.Hosts[h.Name]
		if has && len(p.Images) > 0 && !f.Publishes(lock, h.Name) {
			p.Images = nil
			next.Hosts[h.Name] = p
		}
		if has || !f.HasOwn(lock, h) {
			continue
		}
		if next.Hosts == nil {
			next.Hosts = map[string]fleet.Placement{}
		}
		next.Hosts[h.Name] = fleet.Placement{Host: h.Name, Epoch: 1}
	}
	return next
}

// MoveTo returns the placements after a stack has moved to another host.
func MoveTo(lock fleet.Lock, stack, host string) (fleet.Lock, Move) {
	was := lock.Stacks[stack]
	m := Move{Stack: stack, From: was.Host, To: host, Epoch: was.Epoch + 1}
	return changed(lock, stack, m.do), m
}

// A Takeover says which host's stacks another one takes over.
type Takeover struct {
	Lost string // host that is gone
	To   string // host that takes over
	// Stacks are those that are taken over, nil for all; the others stay placed on Lost.
	Stacks []string
	// Replaced says that To is Lost's name, which another machine has from now on.
	Replaced bool
	// Compromised retires the repositories that the lost host could write to: it has
	// their passwords.
	Compromised bool
}

// Recover returns the placements after a recovery: every stack of the lost host on the
// other one. After a recovery that was interrupted behind its commit there is nothing
// left to move.
func Recover(lock fleet.Lock, o Takeover) (fleet.Lock, []Move) {
	next := lock.Copy()
	if o.Lost == o.To && !o.Replaced {
		return next, nil // the lock has this machine already
	}
	if o.Replaced { // the machine before must not write to what the new one keeps
		own := fleet.Own(o.Lost)
		next = changed(Retire(next, own), own, func(p *fleet.Placement) { p.Epoch++ })
	}
	var moves []Move
	for _, name := range lock.On(o.Lost) {
		if o.Stacks != nil && !slices.Contains(o.Stacks, name) {
			continue
		}
		m := Move{Stack: name, From: o.Lost, To: o.To, Epoch: lock.Stacks[name].Epoch + 1}
		next = changed(next, name, m.do)
		moves = append(moves, m)
		if o.Compromised {
			next = Retire(next, name)
		}
	}
	return next, moves
}

// OutdateOwn raises the epoch of what a host has of its own: what it was asked to publish before
// is another host's.
func OutdateOwn(lock fleet.Lock, host string) fleet.Lock {
	return changed(lock, fleet.Own(host), func(p *fleet.Placement) { p.Epoch++ })
}

// do carries the move out. A restore was asked for at the placement before.
func (m Move) do(p *fleet.Placement) { p.Host, p.Epoch, p.Restore = m.To, m.Epoch, nil }

// Some returns next for some stacks alone: every other one stays as it is in lock. The
// moves are theirs.
func Some(lock, next fleet.Lock, moves []Move, stacks []string) (fleet.Lock, []Move) {
	some := lock.Copy()
	for _, name := range stacks {
		if p, placed := next.Placement(name); placed {
			some.Stacks[name] = p
		} else {
			delete(some.Stacks, name)
		}
	}
	return some, slices.DeleteFunc(slices.Clone(moves), func(m Move) bool { return !slices.Contains(stacks, m.Stack) })
}
