package remotes

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/storage"
)

// A Usage is how full a remote is, and with what of the fleet's.
type Usage struct {
	Remote string
	Room   storage.Room
	Stacks map[string]int64 // bytes of each stack's snapshots
	Other  int64            // of the record and all else in the fleet's folders
	Err    error            // why it can't be said, with a hint
}

// Usage asks each remote, or only the named one, for its room, and lists the fleet's
// folders there. A remote that does not answer keeps no other from it.
func (r *Remotes) Usage(ctx context.Context, name string, sink progress.Sink) ([]Usage, error) {
	if _, err := storage.Declared(&r.checkout.Fleet, name); name != "" && err != nil {
		return nil, err
	}
	var all []Usage
	for _, declared := range r.checkout.Fleet.Remotes {
		if name != "" && declared.Name != name {
			continue
		}
		done := progress.Scope{Sink: sink, Host: declared.Name}.Step("look", "")
		u, err := r.usage(ctx, declared)
		done(err, "")
		if ctx.Err() != nil {
			return all, err
		}
		u.Err = explained(storage.WithWrapped(&r.checkout.Fleet, []string{declared.Name}), storage.Explain(err, false))
		all = append(all, u)
	}
	return all, nil
}

func (r *Remotes) usage(ctx context.Context, declared fleet.Remote) (Usage, error) {
	u := Usage{Remote: declared.Name, Stacks: map[string]int64{}}
	used := r.folders(declared.Name)
	if len(used) == 0 {
		if declared.Type == "local" {
			return u, nil
		}
		used = []Tried{{}}
	}
	for i, t := range used {
		folder, err := r.open(ctx, fleet.Location{Remote: declared.Name, Path: t.Path})
		if err != nil {
			return u, err
		}
		if i == 0 {
			u.Room, err = folder.Room(ctx)
		}
		if err == nil && t.Path != "" {
			err = r.count(ctx, folder, t.Path, &u)
		}
		if err = errors.Join(err, folder.Close(context.WithoutCancel(ctx))); err != nil {
			return u, err
		}
	}
	return u, nil
}

// Free says how many bytes are free at a place on a remote; nil where it does not say.
func (r *Remotes) Free(ctx context.Context, where fleet.Location) (*int64, error) {
	folder, err := r.open(ctx, where)
	if err != nil {
		return nil, err
	}
	room, err := folder.Room(ctx)
	return room.Free, errors.Join(err, folder.Close(context.WithoutCancel(ctx)))
}

// count adds what is in one folder: below a snapshot target by stack.
func (r *Remotes) count(ctx context.Context, folder *storage.Folder, path string, u *Usage) error {
	objects, err := folder.List(ctx, "")
	isTarget := slices.ContainsFunc(r.checkout.Fleet.Snapshots, func(t fleet.Target) bool { return t.Where == fleet.Location{Remote: u.Remote, Path: path} })
	for _, o := range objects {
		stack, _, below := strings.Cut(o.Path, "/")
		if isTarget && below {
			u.Stacks[stack] += o.Size
		} else {
			u.Other += o.Size
		}
	}
	return err
}

// A Use is a remote as the fleet uses it.
type Use struct {
	Remote  fleet.Remote
	For     []string // "record", "target offsite", "shared", "crypt box", sorted
	Stacks  []string // that are given its login, sorted
	Targets []string
}

// Uses returns the declared remotes in the order of the file; needs returns the remotes
// that a stack is given.
func (r *Remotes) Uses(needs func(fleet.Stack) []fleet.Remote) []Use {
	f := &r.checkout.Fleet
	uses := make([]Use, len(f.Remotes))
	for i, declared := range f.Remotes {
		u := &uses[i]
		*u = used(f, declared)
		for _, st := range f.Stacks {
			if slices.ContainsFunc(needs(st), func(n fleet.Remote) bool { return n.Name == declared.Name }) {
				u.Stacks = append(u.Stacks, st.Name)
			}
		}
	}
	return uses
}

// used says what a fleet uses a remote for.
func used(f *fleet.Fleet, declared fleet.Remote) Use {
	u := Use{Remote: declared}
	if f.Record.Remote == declared.Name {
		u.For = append(u.For, "record")
	}
	if f.Shared.Remote == declared.Name {
		u.For = append(u.For, "shared")
	}
	for _, t := range f.Snapshots {
		if t.Where.Remote == declared.Name {
			u.Targets, u.For = append(u.Targets, t.Name), append(u.For, "target "+t.Name)
		}
	}
	for _, other := range f.Remotes {
		if inner, _, _ := strings.Cut(other.Options["remote"].String(), ":"); other.Type == "crypt" && inner == declared.Name {
			u.For = append(u.For, "crypt "+other.Name)
		}
	}
	slices.Sort(u.For)
	return u
}

// Total is what all of the fleet takes.
func (u Usage) Total() int64 {
	total := u.Other
	for _, bytes := range u.Stacks {
		total += bytes
	}
	return total
}

// Largest returns the names of the stacks, the one that takes most first.
func (u Usage) Largest() []string {
	return slices.SortedFunc(maps.Keys(u.Stacks), func(a, b string) int {
		return cmp.Or(cmp.Compare(u.Stacks[b], u.Stacks[a]), cmp.Compare(a, b))
	})
}
