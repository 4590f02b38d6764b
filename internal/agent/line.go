package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/snapshot"
)

// A stack's repository is replaced when somebody who knew its password must not
// read what comes. Snapshots are then taken in the new one only; restoring looks
// there first, and in the former ones for what it does not have.

// A listing is what one repository of a stack holds.
type listing struct {
	target agentapi.Target // with the repository that was listed
	infos  []snapshot.Info
}

// lister returns what a target's repository holds.
type lister func(agentapi.Target) ([]snapshot.Info, error)

// list returns a target's snapshots of the stack; a repository that was never
// made lists as empty.
func (h *Host) list(ctx context.Context, st agentapi.Stack, a *access, t agentapi.Target) ([]snapshot.Info, error) {
	r, err := a.made(ctx, st.Name, t)
	if err != nil || r == nil {
		return nil, err
	}
	defer r.close(ctx) //nolint:errcheck // nothing was written
	return snapshot.List(ctx, r.Repository)
}

func (h *Host) lister(ctx context.Context, st agentapi.Stack, a *access) lister {
	return func(t agentapi.Target) ([]snapshot.Info, error) { return h.list(ctx, st, a, t) }
}

// listings lists the repositories that a restore would pick from: the present
// ones of all targets or, where none of them has a usable snapshot, the former
// ones, newest first. A target that does not answer may have the newest, so
// nothing older is looked at then; the error says why, beside what others have.
func listings(targets []agentapi.Target, list lister) ([]listing, error) {
	lines, oldest := make([][]agentapi.Target, len(targets)), 0
	for i, t := range targets {
		lines[i] = t.Line()
		oldest = max(oldest, len(lines[i]))
	}
	var found []listing
	for age := range oldest {
		var errs []error
		usable := false
		for _, line := range lines {
			if age >= len(line) {
				continue
			}
			infos, err := list(line[age])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", line[age].Name, err))
				continue
			}
			_, some := snapshot.Newest(infos)
			usable = usable || some
			found = append(found, listing{line[age], infos})
		}
		if err := errors.Join(errs...); usable || err != nil {
			return found, err
		}
	}
	return found, nil
}

// histories says what the stack's repositories hold of each volume. A volume
// that no listing has is unknown while a target did not answer, for the reason
// that is returned.
func histories(volumes []snapshot.Volume, found []listing, why error) map[string]snapshot.History {
	histories := map[string]snapshot.History{}
	for _, v := range volumes {
		has := slices.ContainsFunc(found, func(l listing) bool {
			newest, some := snapshot.Newest(l.infos)
			return some && (slices.Contains(newest.Volumes, v.Name) || slices.Contains(newest.Volumes, v.Formerly))
		})
		switch {
		case has:
			histories[v.Name] = snapshot.HistorySome
		case why == nil && len(found) > 0:
			histories[v.Name] = snapshot.HistoryNone
		}
	}
	return histories
}

// newest returns the target, with its repository, that has the newest usable
// snapshot.
func (h *Host) newest(ctx context.Context, st agentapi.Stack, a *access) (agentapi.Target, snapshot.Info, error) {
	listed, err := listings(st.Targets, h.lister(ctx, st, a))
	where, best, found := newestOf(listed)
	if !found {
		return where, best, errors.Join(err, fmt.Errorf("%s: %w", st.Name, snapshot.ErrNoSnapshot))
	}
	return where, best, nil
}

func newestOf(listed []listing) (where agentapi.Target, best snapshot.Info, found bool) {
	for _, l := range listed {
		if info, some := snapshot.Newest(l.infos); some && (!found || snapshot.Compare(info, best) > 0) {
			where, best, found = l.target, info, true
		}
	}
	return where, best, found
}

// holding returns the first target, with its repository, that has a snapshot.
func holding(stack string, targets []agentapi.Target, id string, list lister) (agentapi.Target, error) {
	var errs []error
	for _, t := range targets {
		for _, one := range t.Line() {
			infos, err := list(one)
			errs = append(errs, err)
			if slices.ContainsFunc(infos, func(i snapshot.Info) bool { return i.ID == id }) {
				return one, nil
			}
		}
	}
	return agentapi.Target{}, errors.Join(append(errs, fmt.Errorf("snapshot %.8s of %s: %w", id, stack, snapshot.ErrNoSnapshot))...)
}

// origin returns the repository that names the stack's data: the one that the
// first target's began with.
func origin(st agentapi.Stack) string {
	if len(st.Targets) == 0 {
		return ""
	}
	return st.Targets[0].Origin()
}

// before returns what the stack's volumes held by the newest snapshot of a
// target's former repositories. The first snapshot in a new repository is
// compared with that, as every other is with the one before it.
func (a *access) before(ctx context.Context, st agentapi.Stack, t agentapi.Target) (map[string]snapshot.Stats, error) {
	for _, former := range t.Line()[1:] {
		held, err := a.held(ctx, st.Name, former)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("compare with the former repository %s: %w", former.Repository, err),
				"salvor snapshot take "+st.Name+" --accept-shrunk goes without comparing")
		}
		if len(held) > 0 {
			return held, nil
		}
	}
	return nil, nil
}

func (a *access) held(ctx context.Context, stack string, t agentapi.Target) (map[string]snapshot.Stats, error) {
	r, err := a.repository(ctx, stack, t)
	if err != nil {
		return nil, err
	}
	defer r.close(ctx) //nolint:errcheck // nothing was written
	return snapshot.Held(ctx, r.Repository, stack)
}
