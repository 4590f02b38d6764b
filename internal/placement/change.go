package placement

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
)

// Stop declares a stack stopped.
func Stop(lock fleet.Lock, stack string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Stopped = true })
}

// Start declares a stack running.
func Start(lock fleet.Lock, stack string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Stopped = false })
}

// Restore asks, under a new id, that a stack's volumes go back to a snapshot, given by
// its full id: all of them, or some by their names.
func Restore(lock fleet.Lock, stack, snapshot string, volumes ...string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) {
		p.Restore = &fleet.Restore{ID: strings.ToLower(rand.Text()[:10]), Epoch: p.Epoch, Snapshot: snapshot, Volumes: slices.Compact(slices.Sorted(slices.Values(volumes)))}
	})
}

// Withdraw takes a Restore back.
func Withdraw(lock fleet.Lock, stack string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Restore = nil })
}

// RollBack gives a running stack the images of an earlier deploy. A restore that was
// asked for is withdrawn: it was meant for other images.
func RollBack(lock fleet.Lock, stack string, images map[string]string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Images, p.Stopped, p.Restore = maps.Clone(images), false, nil })
}

// RenameHost has the stacks of a host on another name of the same machine.
func RenameHost(lock fleet.Lock, before, now string) fleet.Lock {
	for _, stack := range lock.On(before) {
		lock = changed(lock, stack, func(p *fleet.Placement) { p.Host = now })
	}
	return lock
}

// End takes stacks out of the lock: no host has them. Their recovery seals and repositories
// stay.
func End(lock fleet.Lock, stacks ...string) fleet.Lock {
	next := lock.Copy()
	for _, stack := range stacks {
		delete(next.Stacks, stack)
	}
	return next
}

// Call says what a stack's folder is called, "" for its own name.
func Call(lock fleet.Lock, stack, called string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Called = called })
}

// RenameVolumes gives volumes of a stack the names that they have now, by the name
// before, and forgets those that are gone. A name that a volume has already stays its own.
func RenameVolumes(lock fleet.Lock, stack string, now map[string]string, gone []string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) {
		for before, after := range now {
			if was, known := p.Volumes[before]; known && p.Volumes[after].Born.IsZero() {
				delete(p.Volumes, before)
				p.Volumes[after] = was
			}
		}
		for _, name := range gone {
			delete(p.Volumes, name)
		}
	})
}

// Retire puts a stack's repositories among its former ones: sealing gives it new ones.
func Retire(lock fleet.Lock, stack string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { *p = p.Retired() })
}

// WithRepositories gives a stack its repositories, present and former, by target.
func WithRepositories(lock fleet.Lock, stack string, present map[string]string, former map[string][]string) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) { p.Repositories, p.Former = present, former })
}

// WithRecord says where the record is.
func WithRecord(lock fleet.Lock, where fleet.Location) fleet.Lock {
	next := lock.Copy()
	next.Record = where
	return next
}
