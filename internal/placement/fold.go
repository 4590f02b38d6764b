package placement

import (
	"maps"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/project"
)

// Learned is what a host found out about a stack that it has, and can't commit itself:
// a line of its receipt, or a fact on the record remote.
type Learned struct {
	Host   string               // that found it out
	Epoch  int                  // of the stack's placement then
	Images map[string]string    // service to image reference with digest, as deployed
	Whole  bool                 // Images, if there are any, are all that the stack has now
	Born   map[string]time.Time // volume to when it first started
	Wish   string               // id of the fleet.Restore that was fulfilled, "" for none
}

// Fold returns the lock with what was learned of a stack, in that order. Only what its
// present host found out at its present epoch counts; of images the last word is
// taken, of births the first, and a birth that the lock knows stays. A restore that was
// done leaves the lock. What no lock can have, an image without a digest or a birth at
// no time, is left out. Folding twice changes nothing.
func Fold(lock fleet.Lock, stack string, learned ...Learned) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) {
		for _, l := range learned {
			if l.Epoch == p.Epoch && l.Host == p.Host {
				l.foldInto(p)
			}
		}
	})
}

// Carry returns the lock next, in which a stack was moved, with the births that were
// learned of it at its placement before, in was.
func Carry(next, was fleet.Lock, stack string, learned ...Learned) fleet.Lock {
	known := Fold(was, stack, learned...).Stacks[stack].Volumes
	return changed(next, stack, func(p *fleet.Placement) {
		for volume, state := range known {
			if p.Volumes == nil {
				p.Volumes = map[string]fleet.VolumeState{}
			}
			if p.Volumes[volume].Born.IsZero() {
				p.Volumes[volume] = state
			}
		}
	})
}

func (l Learned) foldInto(p *fleet.Placement) {
	images := maps.Clone(l.Images)
	maps.DeleteFunc(images, func(_, image string) bool { return !project.Lockable(image) })
	if l.Whole && len(images) > 0 {
		p.Images = nil
	}
	for service, image := range images {
		if p.Images == nil {
			p.Images = map[string]string{}
		}
		p.Images[service] = image
	}
	if p.Restore != nil && p.Restore.ID == l.Wish {
		p.Restore = nil
	}
	for volume, at := range l.Born {
		if p.Volumes == nil {
			p.Volumes = map[string]fleet.VolumeState{}
		}
		if p.Volumes[volume].Born.IsZero() && plausible(at) {
			p.Volumes[volume] = fleet.VolumeState{Born: at.UTC()}
		}
	}
}

// plausible reports whether a lock can have a volume's birth: an honest host says no other.
func plausible(born time.Time) bool {
	year := born.UTC().Year()
	return !born.IsZero() && year >= 1970 && year <= 9999
}

// Prove returns the lock with how far a stack's snapshots are known to have come, by
// repository, at present. What is said of repositories that are not the stack's, or of
// an epoch that it has not reached, does not count; what the lock knows and known does
// not stays.
func Prove(lock fleet.Lock, stack string, known map[string]fleet.Proven, now time.Time) fleet.Lock {
	return changed(lock, stack, func(p *fleet.Placement) {
		maps.DeleteFunc(p.Proven, func(id string, _ fleet.Proven) bool { return !p.Has(id) })
		for id, mark := range known {
			if !p.Has(id) || mark.Epoch > p.Epoch || !mark.Newer(p.Proven[id]) {
				continue
			}
			if p.Proven == nil {
				p.Proven = map[string]fleet.Proven{}
			}
			mark.At = now
			p.Proven[id] = mark
		}
		if len(p.Proven) == 0 {
			p.Proven = nil
		}
	})
}
