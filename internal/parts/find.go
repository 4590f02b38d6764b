package parts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
	"salvor/internal/terminal"
)

// asked is how many repositories are asked at a time.
const asked = 4

// A Choice says which snapshot is meant, and what of it.
type Choice struct {
	Stack string // "" for any that has a snapshot of that ID
	Ref
	At time.Time // the newest at or before this time; zero with an ID
}

// A match is a snapshot, and where it is.
type match struct {
	archive recording.Archive
	id      string
}

// An opened snapshot is one that is read.
type opened struct {
	*snapshot.Inside
	archive recording.Archive
}

// A Reader reads snapshots with the operator's own credentials: no host is asked, so that
// the data of one that is lost can be had, too.
type Reader struct {
	Archives *recording.Archives
	Sink     progress.Sink
}

// on opens the snapshot that is meant, for one piece of work.
func (r *Reader) on(ctx context.Context, c Choice, work func(*opened) error) error {
	m, err := r.find(ctx, c)
	if err != nil {
		return err
	}
	return r.open(ctx, m, work)
}

// open opens a snapshot. Where what opens its repository is damaged, the copies on the
// record are taken.
func (r *Reader) open(ctx context.Context, m match, work func(*opened) error) error {
	begun := false
	try := func() error {
		return r.Archives.On(ctx, m.archive, func(repo snapshot.Repository) error {
			in, err := snapshot.Open(ctx, repo, m.archive.Stack, m.id)
			if err != nil {
				return err
			}
			begun = true
			return work(&opened{in, m.archive})
		})
	}
	err := try()
	if !begun && errors.Is(err, snapshot.ErrDamaged) {
		judged := []recording.Archive{m.archive}
		if r.Archives.Judge(ctx, m.archive.Stack, judged) == nil {
			m.archive = judged[0]
			err = try()
		}
	}
	return err
}

func (r *Reader) find(ctx context.Context, c Choice) (match, error) {
	if c.ID != "" && c.ID != Latest {
		return r.byID(ctx, c.Stack, c.ID)
	}
	if c.Stack == "" {
		return match{}, fault.WithCode(fault.WithHint(errors.New("the stack is not named: every stack has a newest snapshot"),
			"salvor snapshot get STACK latest:/VOLUME/PATH"), fault.Usage)
	}
	return r.newest(ctx, c.Stack, c.At)
}

// byID looks through the repositories of a stack, or of all.
func (r *Reader) byID(ctx context.Context, stack, id string) (match, error) {
	archives, err := r.of(stack)
	if err != nil {
		return match{}, err
	}
	var mu sync.Mutex
	var found []match
	var silent []error
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(asked)
	for _, one := range archives {
		group.Go(func() error {
			err := r.Archives.On(within, one, func(repo snapshot.Repository) error {
				ids, err := snapshot.IDs(within, repo)
				mu.Lock()
				defer mu.Unlock()
				for _, each := range ids {
					if strings.HasPrefix(each, id) {
						found = append(found, match{one, each})
					}
				}
				return err
			})
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, fmt.Errorf("stack %s, target %s: %w", one.Stack, one.Target, err))
			}
			return within.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return match{}, err
	}
	slices.SortFunc(found, func(a, b match) int { return strings.Compare(a.id+a.archive.Stack, b.id+b.archive.Stack) })
	return one(found, silent, stack, id)
}

// of returns the repositories of a stack, or of all.
func (r *Reader) of(stack string) ([]recording.Archive, error) {
	stacks := []string{stack}
	if stack == "" {
		var err error
		if stacks, err = r.Archives.Stacks(); err != nil {
			return nil, err
		}
	}
	var all []recording.Archive
	for _, name := range stacks {
		some, err := r.Archives.Of(name)
		if err != nil {
			return nil, fmt.Errorf("stack %s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// one is the match that there is.
func one(found []match, silent []error, stack, id string) (match, error) {
	where, hint := "no stack has", "salvor snapshot ls STACK lists the ids of a stack"
	if stack != "" {
		where, hint = "stack "+stack+" does not have", "salvor snapshot ls "+stack
	}
	if len(found) == 0 && len(silent) > 0 {
		return match{}, fmt.Errorf("snapshot %s was not found where it could be looked for: %w", id, errors.Join(silent...))
	}
	if len(found) == 0 {
		return match{}, fault.WithHint(fmt.Errorf("%s a snapshot %s", where, id), hint)
	}
	var others []string
	for _, m := range found {
		if m.id != found[0].id {
			others = append(others, fmt.Sprintf("%.12s (%s)", m.id, m.archive.Stack))
		}
	}
	if len(others) > 0 {
		few := others[:min(3, len(others))]
		return match{}, fault.WithHint(fmt.Errorf("%s begin with %s: %.12s (%s), %s", terminal.Count(len(others)+1, "snapshot"), id, found[0].id, found[0].archive.Stack, strings.Join(few, ", ")),
			"write more of the id")
	}
	return found[0], nil
}

// newest is the newest snapshot of a stack that a restore would take, at or before a time
// that is not zero. Those of former repositories are older than any of the present ones.
func (r *Reader) newest(ctx context.Context, stack string, at time.Time) (match, error) {
	archives, err := r.Archives.Of(stack)
	if err != nil {
		return match{}, fmt.Errorf("stack %s: %w", stack, err)
	}
	archives = slices.DeleteFunc(archives, func(a recording.Archive) bool { return a.Apart })
	if err := r.Archives.Judge(ctx, stack, archives); err != nil {
		return match{}, fault.WithHint(fmt.Errorf("which snapshot is the newest can't be said: %w", err), "salvor snapshot get ID:/VOLUME/PATH takes one by its id")
	}
	s := search{reader: r, stack: stack, at: at}
	generations := 0
	for _, a := range archives {
		generations = max(generations, a.Former)
	}
	for former := 0; former <= generations && s.best.id == ""; former++ {
		for _, a := range archives {
			if a.Former == former {
				s.look(ctx, a)
			}
		}
	}
	return s.result()
}

// A search goes through the repositories of a stack.
type search struct {
	reader *Reader
	stack  string
	at     time.Time

	best   match
	info   snapshot.Info
	oldest time.Time
	lost   []snapshot.Mark // proven, and no longer there
	silent []error
}

func (s *search) look(ctx context.Context, a recording.Archive) {
	err := s.reader.Archives.On(ctx, a, func(repo snapshot.Repository) error {
		l, err := snapshot.List(ctx, repo)
		if errors.Is(err, snapshot.ErrNoRepository) && a.Trust.Proven.Zero() {
			return nil
		}
		if err != nil {
			return err
		}
		if a.Trust.Proven.Missing(l) {
			s.lost = append(s.lost, a.Trust.Proven)
		}
		for _, d := range l.Damaged {
			s.note(a, "snapshot "+repository.ShortID(d.Info.ID)+" is skipped: "+d.Reason)
		}
		for _, i := range l.Infos {
			s.consider(a, i)
		}
		return nil
	})
	if err != nil {
		s.silent = append(s.silent, fmt.Errorf("target %s: %w", a.Target, err))
	}
}

func (s *search) consider(a recording.Archive, i snapshot.Info) {
	if i.Diverged {
		return
	}
	if s.oldest.IsZero() || i.Time.Before(s.oldest) {
		s.oldest = i.Time
	}
	if !s.at.IsZero() && i.Time.Truncate(time.Second).After(s.at) { // as lists show it
		return
	}
	if s.best.id == "" || snapshot.Compare(i, s.info) > 0 {
		s.best, s.info = match{a, i.ID}, i
	}
}

func (s *search) note(a recording.Archive, text string) {
	progress.Scope{Sink: s.reader.Sink, Stack: s.stack}.Note("target " + a.Target + ": " + text)
}

func (s *search) result() (match, error) {
	if s.best.id == "" {
		return match{}, s.none()
	}
	for _, m := range s.lost {
		if s.at.IsZero() && m.Newer(snapshot.Mark{Epoch: s.info.Epoch, Seq: s.info.Seq}) {
			return match{}, fault.WithHint(fmt.Errorf("snapshot %s of %s was proven and is missing", m, s.stack),
				fmt.Sprintf("the newest that is left is %s of %s: name it by its id", repository.ShortID(s.best.id), local(s.info.Time)))
		}
	}
	for _, err := range s.silent {
		s.note(s.best.archive, "another target was not looked at: "+err.Error())
	}
	return s.best, nil
}

// none says why there is no snapshot to take.
func (s *search) none() error {
	switch {
	case len(s.silent) > 0:
		return errors.Join(s.silent...)
	case s.oldest.IsZero():
		return fault.WithHint(fmt.Errorf("stack %s has no snapshot", s.stack), "salvor snapshot take "+s.stack)
	}
	return fault.WithHint(fmt.Errorf("stack %s has no snapshot of %s or before: its first is of %s", s.stack, local(s.at), local(s.oldest)), "salvor snapshot ls "+s.stack)
}

// local is a time as the operator's clock has it.
func local(t time.Time) string { return t.Local().Format(time.DateTime) }
