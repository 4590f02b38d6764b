package keeper

import (
	"context"
	"errors"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/journal"
	"salvor/internal/snapshot"
)

// Shares is in how many days all of a repository's data is read again.
const Shares = 30

// A rereadNote is when a stack's data was last read back from its targets.
type rereadNote struct {
	Day int `json:"day"` // days since 1970, UTC
}

// RereadPath is the file that says when a stack was read back last.
func (k *Keeper) RereadPath(stack string) string { return k.Paths.Placement(stack) + ".reread" }

// RereadDue reads today's share of every stack's repositories whole from the remote, and
// writes down what it found. A stack is read once a day (UTC), whatever that came to, and
// one that fails keeps no other from it.
func (k *Keeper) RereadDue(ctx context.Context, now time.Time) error {
	spec, err := k.ReadSpec()
	if err != nil {
		return err
	}
	today := int(now.Unix() / int64(24*time.Hour/time.Second))
	var errs []error
	for _, st := range spec.Kept() {
		var last rereadNote
		if here.ReadJSON(k.RereadPath(st.Name), &last) != nil {
			last = rereadNote{} // a note that can't be read is as good as none
		}
		local := k.Local(st.Name)
		if last.Day == today || local.Lost || local.Epoch != st.Epoch && !st.IsOwn() || len(k.At(spec, st).Protected()) == 0 {
			continue
		}
		errs = append(errs, k.RereadStack(ctx, k.At(spec, st), today), here.WriteJSON(k.RereadPath(st.Name), rereadNote{Day: today}))
	}
	return errors.Join(errs...)
}

// RereadStack reads one day's share of a stack's repositories whole, and notes what it found.
func (k *Keeper) RereadStack(ctx context.Context, s *here.Stack, today int) error {
	s, err := s.Open()
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range s.Targets {
		repo, err := ArchiveOf(s).Repository(ctx, t)
		if err != nil {
			errs = append(errs, err, k.noteReread(s.Name, t.Name, false, err))
			continue
		}
		checked, err := snapshot.CheckShare(ctx, repo.Repository, s.Name, today%Shares, Shares)
		switch {
		case errors.Is(err, snapshot.ErrNoRepository) && ArchiveOf(s).NewestProven(t.Repository).Zero():
			err = nil // nothing was taken yet
		case err == nil || snapshot.IsDamage(err):
			err = errors.Join(err, ArchiveOf(s).noteChecked(t.Repository, checked))
		}
		err = errors.Join(err, repo.Close(ctx))
		if err != nil || len(ArchiveOf(s).Notes()[t.Repository].Suspects) == 0 { // else what another share's reading found stays said
			errs = append(errs, err, k.noteReread(s.Name, t.Name, len(checked.Suspects) > 0, err))
		}
		k.Enter(journal.Entry{Kind: "reread", Stack: s.Name, Text: t.Name, Error: here.ErrorText(err)})
	}
	return errors.Join(errs...)
}
