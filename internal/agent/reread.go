package agent

import (
	"context"
	"errors"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/journal"
	"salvor/internal/snapshot"
)

// shares is in how many days all of a repository's data is read again.
const shares = 30

// reread is when a stack's data was last read back from its targets.
type reread struct {
	Day int `json:"day"` // days since 1970, UTC
}

func (h *Host) rereadPath(stack string) string { return h.Paths.Placement(stack) + ".reread" }

// rereadDue reads today's share of every stack's repositories whole from the
// remote, once a day, and writes down what it found.
func (h *Host) rereadDue(ctx context.Context, now time.Time) error {
	spec, err := h.Spec()
	if err != nil {
		return err
	}
	today := int(now.Unix() / int64(24*time.Hour/time.Second))
	var errs []error
	for _, st := range spec.Stacks {
		var last reread
		if readJSON(h.rereadPath(st.Name), &last) != nil {
			last = reread{} // a note that can't be read is as good as none
		}
		local := h.local(st.Name)
		if last.Day == today || local.Lost || local.Epoch != st.Epoch || len(h.protected(st)) == 0 {
			continue
		}
		errs = append(errs, h.rereadStack(ctx, spec, st, today), writeJSON(h.rereadPath(st.Name), reread{Day: today}))
	}
	return errors.Join(errs...)
}

func (h *Host) rereadStack(ctx context.Context, spec agentapi.Host, st agentapi.Stack, today int) error {
	a, err := h.open(spec.Name, st)
	if err != nil {
		return err
	}
	var errs []error
	doubted := false
	for _, t := range st.Targets {
		repo, err := h.repository(ctx, a, st.Name, t)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		checked, err := snapshot.CheckShare(ctx, repo.Repository, st.Name, today%shares, shares)
		switch {
		case errors.Is(err, snapshot.ErrNoRepository) && h.mark(a, st.Name, t.Repository).Zero():
			err = nil // nothing was taken yet
		case err == nil || snapshot.IsDamage(err):
			doubted = doubted || len(checked.Suspects) > 0
			errs = append(errs, h.noteChecked(st.Name, t.Repository, checked))
		}
		errs = append(errs, err, repo.close(ctx))
		h.record(journal.Entry{Kind: "reread", Stack: st.Name, Text: t.Name, Error: text(err)})
	}
	err = errors.Join(errs...)
	return errors.Join(err, h.noteReread(st.Name, doubted, err))
}
