package recording

import (
	"context"
	"errors"
	"path"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// Archives are the snapshot repositories of stacks as an operator's own credentials open
// them: no host is asked.
type Archives struct {
	Declared *fleet.Fleet
	Lock     fleet.Lock
	// Stacks returns those that ever had a repository, also ones that are declared no longer.
	Stacks func() ([]string, error)
	// Recovery opens the passwords of a stack's repositories: none for one that never had any.
	Recovery func(stack string) (seal.Recovery, error)
	// Open opens a folder on a remote.
	Open record.Open
	// With opens the record for one piece of work.
	With func(ctx context.Context, work func(*record.Record) error) error
	// Epoch returns a stack's newest by the record, 0 for none.
	Epoch func(ctx context.Context, stack string) (int, error)
}

// An Archive is one repository of a stack.
type Archive struct {
	Stack  string
	Target string
	ID     string
	Former int  // how many repositories ago, 0 for the present one
	Apart  bool // of the same name, but from before the stack began again
	Where  fleet.Location
	Trust  snapshot.Trust // all is believed until it is Judged

	spare    repository.Spare
	password secret.Value
}

// Of returns a stack's repositories by target, each with the present one first, then the
// former ones, newest first; at the end those that are Apart. A stack without any is an
// error.
func (a *Archives) Of(stack string) ([]Archive, error) {
	known, err := a.Recovery(stack)
	if err == nil && len(known.Repositories) == 0 {
		err = fault.WithHint(errors.New("it has no snapshot repository"), "salvor snapshot take "+stack)
	}
	if err != nil {
		return nil, err
	}
	p, _ := a.Lock.Placement(stack)
	var all []Archive
	seen := map[string]bool{}
	add := func(id string, former int, apart bool) {
		repo, ok := known.Find(id)
		if !ok || seen[id] {
			return
		}
		seen[id] = true
		all = append(all, Archive{Stack: stack, Target: repo.Target, ID: id, Former: former, Apart: apart, Where: a.where(stack, repo), password: repo.Password})
	}
	for _, target := range a.targets(known) {
		newest, before := known.NewestOn(target)
		if p.Repositories[target] != "" || len(p.Former[target]) > 0 {
			newest, before = p.Repositories[target], p.Former[target]
		}
		line := append(append([]string(nil), before...), newest)
		for i := range line {
			add(line[len(line)-1-i], i, false)
		}
	}
	for _, repo := range known.Repositories {
		add(repo.ID, 0, true)
	}
	return all, nil
}

// targets are those that a stack has or had repositories on, the declared ones first.
func (a *Archives) targets(known seal.Recovery) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if newest, _ := known.NewestOn(name); newest != "" && !seen[name] {
			seen[name], names = true, append(names, name)
		}
	}
	for _, t := range a.Declared.Snapshots {
		add(t.Name)
	}
	for _, repo := range known.Repositories {
		add(repo.Target)
	}
	return names
}

// where is a repository's folder: below its target, or where it was made if that is no
// longer declared.
func (a *Archives) where(stack string, repo seal.Repository) fleet.Location {
	for _, t := range a.Declared.Snapshots {
		if t.Name == repo.Target {
			return fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack, repo.ID)}
		}
	}
	remote, at, _ := strings.Cut(repo.Location, ":")
	return fleet.Location{Remote: remote, Path: at}
}

// Judge says of a stack's repositories, by the record and the lock, which of their snapshots
// may be believed, and has copies of what opens them.
func (a *Archives) Judge(ctx context.Context, stack string, archives []Archive) error {
	p, placed := a.Lock.Placement(stack)
	if !placed {
		var err error
		if p.Epoch, err = a.Epoch(ctx, stack); err != nil {
			return err
		}
	}
	found := map[string]record.Proven{}
	err := a.With(ctx, func(rec *record.Record) error {
		proven, _, err := rec.Proven(ctx, stack, p.Epoch)
		for _, one := range proven {
			found[one.Repository] = one
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range archives {
		said := found[archives[i].ID]
		archives[i].Trust, archives[i].spare = trustOf(p, said, archives[i].ID), repository.Spare{Key: said.Key, Config: said.Config}
	}
	return nil
}

// On opens a repository's folder for one piece of work.
func (a *Archives) On(ctx context.Context, one Archive, work func(snapshot.Repository) error) error {
	folder, err := a.Open(ctx, one.Where)
	if err != nil {
		return err
	}
	r := snapshot.Repository{ID: one.ID, Store: folder, Password: one.password, Spare: one.spare, Trust: one.Trust}
	return errors.Join(work(r), folder.Close(context.WithoutCancel(ctx)))
}

// trustOf says which of a repository's snapshots may be believed: by the record and the
// lock, whichever knows the newest.
func trustOf(p fleet.Placement, said record.Proven, id string) snapshot.Trust {
	t := snapshot.Trust{Epoch: p.Epoch}
	if said.Snapshot != "" {
		t.Proven, t.Known = snapshot.Mark{Epoch: said.Epoch, Seq: said.Seq, Repository: id, ID: said.Snapshot, At: said.At}, said.Known
	}
	locked := p.Proven[id]
	if mark := (snapshot.Mark{Epoch: locked.Epoch, Seq: locked.Seq, Repository: id, ID: locked.ID, At: locked.At}); locked.Epoch <= p.Epoch && mark.Newer(t.Proven) {
		t.Proven, t.Known = mark, nil
	}
	return t
}
