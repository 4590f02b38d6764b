// Package recordmove takes the record of a fleet to another place, with everything in it.
package recordmove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// A Fleet is the newest commit of the fleet, opened, as far as a move of its record
// needs it.
type Fleet struct {
	Declared *fleet.Fleet // its Record is the new place once the record is there
	Lock     fleet.Lock
	File     func(name string) ([]byte, error) // of the commit
	// Behind returns why a commit could not be published, nil where it could.
	Behind func(ctx context.Context) error
	Open   record.Open
	Trust  record.Trust
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session func(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
}

// A Receipt says what became of the record, and of the run that committed its place.
type Receipt struct {
	deploy.Receipt
	record.Relocated
	From, To    fleet.Location
	Unreachable []string // hosts that don't know the new place yet
}

// Prepare proposes to move the record to a place, REMOTE or REMOTE:PATH. Where the
// record is there already, the proposal finishes a move that was interrupted.
func Prepare(f *Fleet, place string) (proposal.Proposal[Receipt], error) {
	to, err := f.place(place)
	m := &move{fleet: f, from: f.Declared.Record, to: to, lock: f.Lock}
	p := proposal.New(fmt.Sprintf("move the record to %s", to), m.run)
	p.Question = fmt.Sprintf("Move the record of %s from %s to %s? Stacks keep running.", f.Declared.Name, m.from, to)
	return p, err
}

// place reads REMOTE or REMOTE:PATH as a place for the record. Without a path
// it is the one that the record has now, which no other fleet has.
func (f *Fleet) place(text string) (fleet.Location, error) {
	remote, path, given := strings.Cut(text, ":")
	to := fleet.Location{Remote: remote, Path: f.Declared.Record.Path}
	if given {
		to.Path = path
	}
	from := f.Declared.Record
	_, undeclared := storage.Declared(f.Declared, remote)
	switch {
	case undeclared != nil:
		return to, undeclared
	case from.Remote == "":
		return to, fault.WithHint(errors.New("the fleet has no record yet"), "salvor apply creates it, on the first remote in fleet.yaml")
	case to != from && to.Remote == from.Remote && (within(to.Path, from.Path) || within(from.Path, to.Path)):
		return to, fmt.Errorf("%s and %s overlap: one is inside the other", from, to)
	}
	return to, controlrepo.CheckRecord(to)
}

func within(inner, outer string) bool { return strings.HasPrefix(inner+"/", outer+"/") }

// A move is one that was prepared.
type move struct {
	fleet    *Fleet
	from, to fleet.Location
	lock     fleet.Lock // with the place before
}

func (m *move) run(ctx context.Context, sink progress.Sink) (Receipt, error) {
	done := Receipt{From: m.from, To: m.to}
	changed, relocated, err := m.carry(ctx)
	if err != nil {
		return done, err
	}
	done.Relocated = relocated
	s, err := m.fleet.Session(ctx, sink)
	if err != nil {
		return done, err
	}
	next := placement.WithRecord(m.lock, m.to)
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.Observe(ctx, next))
	plan.Hosts = slices.DeleteFunc(plan.Hosts, func(hp deploy.HostPlan) bool { return !knowsRecord(m.lock, hp) })
	done.Unreachable = plan.Unreachable()
	done.Receipt, err = s.Apply(ctx, plan, next, deploy.Options{
		Kind: deploy.KindRecordMove, Extra: changed, Message: fmt.Sprintf("record move: %s -> %s", m.from, m.to), Unplanned: true,
	})
	done.Pending = append(done.Pending, done.left()...)
	return done, err
}

// knowsRecord reports whether a host works with the record's place: it has stacks, or
// got its settings before. Others are not made ready by the way.
func knowsRecord(lock fleet.Lock, hp deploy.HostPlan) bool {
	settings := func(c agentapi.Change) bool { return c.Stack == "" && c.ID == "settings" && c.Action == "~" }
	return len(lock.On(hp.Host)) > 0 || slices.ContainsFunc(hp.Changes, settings)
}

// left is what is left to do.
func (r *Receipt) left() []string {
	if r.From == r.To {
		return nil
	}
	var left []string
	for _, host := range r.Unreachable {
		left = append(left, fmt.Sprintf("%s does not know the new place yet; until the next salvor apply it finds it "+
			"through the mark at the old place, or through Git", host))
	}
	if r.Same {
		return append(left, fmt.Sprintf("%s is the same folder as before under another name: no file was moved, and "+
			"there is no old folder to delete; print a new card with salvor key card", r.To))
	}
	return append(left,
		fmt.Sprintf("the recovery card shows the old place: print a new one with salvor key card, and try it with salvor key prove (%d files are at %s)", r.Files, r.To),
		fmt.Sprintf("%s is left as it was; once you have applied to every host and printed the new card, you can delete that folder", r.From))
}
