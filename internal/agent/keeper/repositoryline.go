package keeper

import (
	"cmp"
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
func (a *Archive) list(ctx context.Context, t agentapi.Target) (snapshot.Listing, error) {
	r, err := a.made(ctx, t)
	if err != nil || r == nil {
		return snapshot.Listing{}, err
	}
	defer r.Close(ctx) // nothing was written
	return snapshot.Usable(ctx, r.Repository, a.Name)
}

// Lister returns what lists a target's repository of the stack.
func (a *Archive) Lister(ctx context.Context) lister {
	return func(t agentapi.Target) (snapshot.Listing, error) { return a.list(ctx, t) }
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

// A Candidate is a snapshot that a restore may take, with the target and the
// repository that has it.
type Candidate struct {
	Target agentapi.Target
	Info   snapshot.Info
}

// Candidates returns what a restore may take, newest first; what is on several targets once
// for each, in the order of the file.
func Candidates(listed []listing) []Candidate {
	var all []Candidate
	for _, l := range listed {
		for _, i := range slices.Backward(l.Infos) {
			if !i.Diverged {
				all = append(all, Candidate{l.target, i})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Info.Epoch, a.Info.Epoch), cmp.Compare(b.Info.Seq, a.Info.Seq))
	})
	return all
}

// Newer returns the damaged snapshots that would have been taken before i, and
// those of which nothing but the id is known.
func Newer(listed []listing, i snapshot.Info) []snapshot.Damaged {
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

// Newest returns the newest usable snapshot with its target and repository, and
// what was listed to find it.
func (a *Archive) Newest(ctx context.Context) (Candidate, []listing, error) {
	listed, err := listings(a.Targets, a.Lister(ctx))
	all := Candidates(listed)
	if len(all) == 0 {
		if m := a.missingNewest(a.Targets, listed); !m.Zero() {
			err = errors.Join(err, a.missingError(m, listed))
		}
		return Candidate{}, listed, errors.Join(err, Damaged(listed), fmt.Errorf("%s: %w", a.Name, snapshot.ErrNoSnapshot))
	}
	return all[0], listed, nil
}

// Damaged names the damaged snapshots, nil where there are none.
func Damaged(listed []listing) error {
	var errs []error
	for _, l := range listed {
		errs = append(errs, l.Err())
	}
	return errors.Join(errs...)
}

// Holding returns the first target, with its repository, that has a snapshot.
func Holding(stack string, targets []agentapi.Target, id string, list lister) (agentapi.Target, error) {
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

// before returns what the stack's volumes held by the newest snapshot of a
// target's former repositories. The first snapshot in a new repository is
// compared with that, as every other is with the one before it.
func (a *Archive) before(ctx context.Context, t agentapi.Target) (map[string]snapshot.Stats, error) {
	for _, former := range t.Line()[1:] {
		held, err := a.held(ctx, former)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("compare with the former repository %s: %w", former.Repository, err),
				"salvor snapshot take "+a.Name+" --accept-shrunk skips the comparison")
		}
		if len(held) > 0 {
			return held, nil
		}
	}
	return nil, nil
}

func (a *Archive) held(ctx context.Context, t agentapi.Target) (map[string]snapshot.Stats, error) {
	r, err := a.Repository(ctx, t)
	if err != nil {
		return nil, err
	}
	defer r.Close(ctx) // nothing was written
	return snapshot.Held(ctx, r.Repository, a.Name)
}
