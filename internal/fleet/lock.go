package fleet

import (
	"maps"
	"slices"
	"time"
)

// A Lock is salvor.lock: the placements that count. Only a salvor command
// writes it, and the fast-forward push of the commit that carries it is the
// compare-and-swap.
type Lock struct {
	Schema int                  `json:"schema"`
	Record Location             `json:"record,omitzero"` // where the record is; without a remote only which path it gets
	Stacks map[string]Placement `json:"stacks"`
	Hosts  map[string]Placement `json:"hosts,omitempty"` // what hosts have of their own, by host; see Own

	Tailnet map[string]string `json:"tailnet,omitempty"` // by host, its address in the tailnet at its last apply
}

// Copy returns the lock with placements of its own, to change.
func (l Lock) Copy() Lock {
	l.Schema, l.Stacks, l.Hosts, l.Tailnet = Schema, maps.Clone(l.Stacks), maps.Clone(l.Hosts), maps.Clone(l.Tailnet)
	if l.Stacks == nil {
		l.Stacks = map[string]Placement{}
	}
	return l
}

// MaxEpoch is the highest epoch: far more than any stack is moved, and far from where
// counting on goes wrong.
const MaxEpoch = 1_000_000_000

// A Placement says where a stack lives, counted by epoch: every change of
// placement raises it by one.
type Placement struct {
	Host         string                 `json:"host"`
	Epoch        int                    `json:"epoch"`
	Called       string                 `json:"called,omitempty"`       // the stack's folder, since it was renamed
	Stopped      bool                   `json:"stopped,omitempty"`      // `salvor down`
	Repositories map[string]string      `json:"repositories,omitempty"` // target name to repository id
	Former       map[string][]string    `json:"former,omitempty"`       // target name to ids of the repositories before, newest last
	Images       map[string]string      `json:"images,omitempty"`       // service to image reference with digest
	Volumes      map[string]VolumeState `json:"volumes,omitempty"`
	Proven       map[string]Proven      `json:"proven,omitempty"`  // by repository, how far its snapshots are known to have come
	Restore      *Restore               `json:"restore,omitempty"` // asked for and not known to be done
}

// A Repository is one of a placement's, by its id, and the target that it is on.
type Repository struct{ Target, ID string }

// EveryRepository returns all of a placement's repositories, by target: the present one
// first, then the former ones, newest first.
func (p Placement) EveryRepository() []Repository {
	var all []Repository
	for _, target := range slices.Sorted(maps.Keys(p.Repositories)) {
		all = append(all, Repository{target, p.Repositories[target]})
	}
	for _, target := range slices.Sorted(maps.Keys(p.Former)) {
		for _, id := range slices.Backward(p.Former[target]) {
			all = append(all, Repository{target, id})
		}
	}
	return all
}

// Proven names the newest snapshot of a repository that is known to have been read
// back. The lock has it so that who can delete on the remotes can't have it
// forgotten.
type Proven struct {
	Epoch int       `json:"epoch"`
	Seq   int       `json:"seq"`
	ID    string    `json:"id"` // of the snapshot, in full
	At    time.Time `json:"at"` // when a command learned it, by the operator's clock
}

// Newer reports whether p is further than o.
func (p Proven) Newer(o Proven) bool {
	return p.Epoch > o.Epoch || p.Epoch == o.Epoch && p.Seq > o.Seq
}

// Has reports whether a repository is one of the placement's, present or former.
func (p Placement) Has(repository string) bool {
	for _, id := range p.Repositories {
		if id == repository {
			return true
		}
	}
	for _, ids := range p.Former {
		if slices.Contains(ids, repository) {
			return true
		}
	}
	return false
}

// A Restore is the operator's wish that a stack's volumes go back to a snapshot,
// once. It is part of the lock so that a run interrupted between the commit and the
// data is finished by the next apply, or by the host at its next boot.
type Restore struct {
	ID       string `json:"id"`       // identifies this wish; a host remembers the last that it fulfilled
	Epoch    int    `json:"epoch"`    // of the placement that it was said for; at any other it is void
	Snapshot string `json:"snapshot"` // full id

	Volumes []string `json:"volumes,omitempty"` // that go back, sorted; none for all. The others stay as they are
}

// Whole reports whether all volumes go back.
func (r *Restore) Whole() bool { return len(r.Volumes) == 0 }

// Takes reports whether a volume goes back.
func (r *Restore) Takes(volume string) bool { return r.Whole() || slices.Contains(r.Volumes, volume) }

// Wish returns what is to be restored at the present epoch, or nil.
func (p *Placement) Wish() *Restore {
	if p.Restore == nil || p.Restore.Epoch != p.Epoch {
		return nil
	}
	return p.Restore
}

// Retired returns the placement with its repositories among the former ones:
// what seals it next gives it new ones. p itself is unchanged.
func (p Placement) Retired() Placement {
	if len(p.Repositories) == 0 {
		return p
	}
	former := maps.Clone(p.Former)
	if former == nil {
		former = map[string][]string{}
	}
	for target, id := range p.Repositories {
		former[target] = append(slices.Clone(former[target]), id)
	}
	p.Repositories, p.Former = nil, former
	return p
}

// A VolumeState is what the lock knows of a protected volume.
type VolumeState struct {
	Born time.Time `json:"born"` // when it first started, empty or restored
}

// Placement returns the placement of a stack, or of a host's own data by its name, and
// whether there is one.
func (l *Lock) Placement(stack string) (Placement, bool) {
	if host, own := OwnerOf(stack); own {
		p, ok := l.Hosts[host]
		return p, ok
	}
	p, ok := l.Stacks[stack]
	return p, ok
}

// On returns the names of the stacks placed on a host, sorted.
func (l *Lock) On(host string) []string {
	var names []string
	for name, p := range l.Stacks {
		if p.Host == host {
			names = append(names, name)
		}
	}
	return sorted(names)
}
