package agent

import (
	"context"
	"errors"
	"time"

	"salvor/internal/journal"
	"salvor/internal/snapshot"
)

// shares is in how many days all of a repository's data is read again.
const shares = 30

// reread is when a stack's data was last read back from its targets.
type reread struct {
	Day int `json:"day"` // days since 1970, UTC
}

func (k *keeper) rereadPath(stack string) string { return k.Paths.Placement(stack) + ".reread" }

// rereadDue reads today's share of every stack's repositories whole from the
// remote, once a day, and writes down what it found.
func (k *keeper) rereadDue(ctx context.Context, now time.Time) error {
	spec, err := k.Spec()
	if err != nil {
		return err
	}
	today := int(now.Unix() / int64(24*time.Hour/time.Second))
	var errs []error
	for _, st := range spec.Stacks {
		var last reread
		if readJSON(k.rereadPath(st.Name), &last) != nil {
			last = reread{} // a note that can't be read is as good as none
		}
		local := k.local(st.Name)
		if last.Day == today || local.Lost || local.Epoch != st.Epoch || len(k.at(spec, st).protected()) == 0 {
			continue
		}
		errs = append(errs, k.rereadStack(ctx, k.at(spec, st), today), writeJSON(k.rereadPath(st.Name), reread{Day: today}))
	}
	return errors.Join(errs...)
}

func (k *keeper) rereadStack(ctx context.Context, s *Stack, today int) error {
	s, err := s.open()
	if err != nil {
		return err
	}
	var errs []error
	doubted := false
	for _, t := range s.Targets {
		repo, err := k.repository(ctx, s, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		checked, err := snapshot.CheckShare(ctx, repo.Repository, s.Name, today%shares, shares)
		switch {
		case errors.Is(err, snapshot.ErrNoRepository) && k.mark(s, t.Repository).Zero():
			err = nil // nothing was taken yet
		case err == nil || snapshot.IsDamage(err):
			doubted = doubted || len(checked.Suspects) > 0
			errs = append(errs, k.noteChecked(s.Name, t.Repository, checked))
		}
		errs = append(errs, err, repo.close(ctx))
		k.record(journal.Entry{Kind: "reread", Stack: s.Name, Text: t.Name, Error: text(err)})
	}
	err = errors.Join(errs...)
	return errors.Join(err, k.noteReread(s.Name, doubted, err))
}
