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

// A stack's repository is replaced when someone who knew its password must not read
// later snapshots. Snapshots are then taken in the new one only; restoring looks
// there first, and in the former ones for what it does not have.

// A listing is what one repository of a stack holds.
type listing struct {
	target agentapi.Target // with the repository that was listed
	snapshot.Listing
}

// lister returns what a target's repository holds.
type lister func(agentapi.Target) (snapshot.Listing, error)

// list returns what a target has of the stack, its newest snapshot read; a
// repository that was never made lists as empty.
func (k *keeper) list(ctx context.Context, s *Stack, t agentapi.Target) (snapshot.Listing, error) {
	r, err := k.made(ctx, s, t)
	if err != nil || r == nil {
		return snapshot.Listing{}, err
	}
	defer r.close(ctx) //nolint:errcheck // nothing was written
	return snapshot.Usable(ctx, r.Repository, s.Name)
}

func (k *keeper) lister(ctx context.Context, s *Stack) lister {
	return func(t agentapi.Target) (snapshot.Listing, error) { return k.list(ctx, s, t) }
}

// listings lists the repositories that a restore would pick from: the present ones of
// all targets or, where none of them has a usable snapshot, the former ones, newest
// first. A target that does not answer may have the newest, so nothing older is
// looked at then; the error says why, in addition to what others have.
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
			all, err := list(line[age])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", line[age].Name, err))
				continue
			}
			_, some := snapshot.Newest(all.Infos)
			usable = usable || some
			found = append(found, listing{line[age], all})
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
			newest, some := snapshot.Newest(l.Infos)
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

// A candidate is a snapshot that a restore may take, with the target and the
// repository that has it.
type candidate struct {
	target agentapi.Target
	info   snapshot.Info
}

// candidates returns what a restore may take, newest first; what is on several
// targets once for each.
func candidates(listed []listing) []candidate {
	var all []candidate
	for _, l := range listed {
		for _, i := range l.Infos {
			if !i.Diverged {
				all = append(all, candidate{l.target, i})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return snapshot.Compare(b.info, a.info) })
	return all
}

// newer returns the damaged snapshots that would have been taken before i, and
// those of which nothing but the id is known.
func newer(listed []listing, i snapshot.Info) []snapshot.Damaged {
	var passed []snapshot.Damaged
	for _, l := range listed {
		for _, d := range l.Damaged {
			if !d.Info.Diverged && (d.Info.Epoch == 0 || snapshot.Compare(d.Info, i) > 0) {
				passed = append(passed, d)
			}
		}
	}
	return passed
}

// newest returns the newest usable snapshot with its target and repository, and
// what was listed to find it.
func (k *keeper) newest(ctx context.Context, s *Stack) (candidate, []listing, error) {
	listed, err := listings(s.Targets, k.lister(ctx, s))
	all := candidates(listed)
	if len(all) == 0 {
		if m := k.ahead(s, listed); !m.Zero() {
			err = errors.Join(err, missingError(s.Name, m, listed))
		}
		return candidate{}, listed, errors.Join(err, damaged(listed), fmt.Errorf("%s: %w", s.Name, snapshot.ErrNoSnapshot))
	}
	return all[0], listed, nil
}

// damaged names the damaged snapshots, nil where there are none.
func damaged(listed []listing) error {
	var errs []error
	for _, l := range listed {
		errs = append(errs, l.Err())
	}
	return errors.Join(errs...)
}

// holding returns the first target, with its repository, that has a snapshot.
func holding(stack string, targets []agentapi.Target, id string, list lister) (agentapi.Target, error) {
	var errs []error
	for _, t := range targets {
		for _, one := range t.Line() {
			all, err := list(one)
			errs = append(errs, err)
			if slices.ContainsFunc(slices.Concat(all.Infos, all.Unproven), func(i snapshot.Info) bool { return i.ID == id }) {
				return one, nil
			}
			if at := slices.IndexFunc(all.Future, func(i snapshot.Info) bool { return i.ID == id }); at >= 0 {
				return one, fault.WithHint(fmt.Errorf("snapshot %.8s of %s has epoch %d, which the placement has not reached: it is not restored", id, stack, all.Future[at].Epoch), "salvor snapshot ls "+stack+" "+
					"lists the others")
			}
			if d, bad := all.Find(id); bad {
				errs = append(errs, d.Err())
			}
		}
	}
	none := fmt.Errorf("snapshot %.8s of %s: %w", id, stack, snapshot.ErrNoSnapshot)
	return agentapi.Target{}, fault.WithHint(errors.Join(append(errs, none)...), "salvor snapshot ls "+stack)
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
func (k *keeper) before(ctx context.Context, s *Stack, t agentapi.Target) (map[string]snapshot.Stats, error) {
	for _, former := range t.Line()[1:] {
		held, err := k.held(ctx, s, former)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("compare with the former repository %s: %w", former.Repository, err),
				"salvor snapshot take "+s.Name+" --accept-shrunk skips the comparison")
		}
		if len(held) > 0 {
			return held, nil
		}
	}
	return nil, nil
}

func (k *keeper) held(ctx context.Context, s *Stack, t agentapi.Target) (map[string]snapshot.Stats, error) {
	r, err := k.repository(ctx, s, t)
	if err != nil {
		return nil, err
	}
	defer r.close(ctx) //nolint:errcheck // nothing was written
	return snapshot.Held(ctx, r.Repository, s.Name)
}
