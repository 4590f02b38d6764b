package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restserver"
)

// A Retention is what a policy makes of a listing; both parts are oldest first.
type Retention struct {
	Keep   []Info
	Forget []Info
}

// Retain applies a policy. Snapshots of the same set of volumes form a group and each
// group is judged separately, so that removing a volume from a stack does not push
// out what its data was. The newest of each group is kept whatever the policy, and a
// policy that names nothing forgets nothing. Within a period (hour, day … in UTC) the
// newest counts; newest means Compare, and a snapshot's time only says into which
// period it falls. Diverged snapshots are kept: a person decides about them.
func Retain(infos []Info, k fleet.Keep) Retention {
	groups := map[string][]Info{}
	for _, i := range infos {
		if !i.Diverged {
			key := strings.Join(i.Volumes, "\x00")
			groups[key] = append(groups[key], i)
		}
	}
	kept := map[string]bool{}
	for _, group := range groups {
		slices.SortFunc(group, func(a, b Info) int { return Compare(b, a) })
		for _, rule := range rules(k) {
			rule.mark(group, kept)
		}
		kept[group[0].ID] = true
	}
	var r Retention
	sorted := slices.SortedFunc(slices.Values(infos), Compare)
	for _, i := range sorted {
		if kept[i.ID] || i.Diverged || k == (fleet.Keep{}) {
			r.Keep = append(r.Keep, i)
		} else {
			r.Forget = append(r.Forget, i)
		}
	}
	return r
}

// A rule keeps the newest snapshot of each of the last count periods that have
// one.
type rule struct {
	count  int
	period func(time.Time) string // nil: every snapshot is a period of its own
}

func rules(k fleet.Keep) []rule {
	layout := func(l string) func(time.Time) string {
		return func(t time.Time) string { return t.UTC().Format(l) }
	}
	week := func(t time.Time) string {
		year, week := t.UTC().ISOWeek()
		return fmt.Sprintf("%d-%d", year, week)
	}
	return []rule{
		{k.Last, nil}, {k.Hourly, layout("2006-01-02 15")}, {k.Daily, layout("2006-01-02")},
		{k.Weekly, week}, {k.Monthly, layout("2006-01")}, {k.Yearly, layout("2006")},
	}
}

// mark is given a group newest first.
func (r rule) mark(group []Info, kept map[string]bool) {
	seen := map[string]bool{}
	for _, i := range group {
		period := i.ID
		if r.period != nil {
			period = r.period(i.Time)
		}
		if seen[period] {
			continue
		}
		if len(seen) == r.count {
			return
		}
		seen[period] = true
		kept[i.ID] = true
	}
}

// A Claim is the stack's claim by which this host may change its repository.
type Claim struct {
	Stack string
	Epoch int
	Holds func(context.Context) error // asked before each deletion whether it is still this host's; an error ends the work
}

// ApplyRetention forgets what the policy does not keep and removes the data that nothing
// needs any more. The caller runs nothing else on the repository. Only good snapshots
// count: damaged ones push nothing out. Before anything is forgotten, the newest good
// one is read from the remote.
func (e Engine) ApplyRetention(ctx context.Context, r Repository, c Claim, k fleet.Keep) (Retention, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return Retention{}, err
	}
	listed, err := list(ctx, repo, r)
	if err != nil {
		return Retention{}, err
	}
	plan := Retain(listed.Infos, k)
	if len(plan.Forget) == 0 {
		return plan, nil
	}
	if listed, _, err = usable(ctx, repo, r, c.Stack); err != nil {
		return plan, fmt.Errorf("forget snapshots of %s: read the newest: %w", c.Stack, err)
	}
	plan = Retain(listed.Infos, k)
	if _, ok := Newest(plan.Keep); !ok {
		return plan, fmt.Errorf("forget snapshots of %s: %w to keep", c.Stack, ErrNoSnapshot)
	}
	if err := c.Holds(ctx); err != nil {
		return plan, err
	}
	if err := unlock(ctx, r, repo, c.Epoch); err != nil {
		return plan, err
	}
	forget, err := expendable(ctx, repo, listed, plan)
	if err != nil {
		return plan, err
	}
	for _, id := range forget {
		if err := c.Holds(ctx); err != nil {
			return plan, fmt.Errorf("forget snapshot %s: %w", repository.ShortID(id), err)
		}
		hold.At(ctx, "forget")
		if err := r.Store.Delete(ctx, "snapshots/"+id); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return plan, fmt.Errorf("forget snapshot %s: %w", repository.ShortID(id), err)
		}
	}
	return plan, e.prune(ctx, r, c)
}

// Excess counts the snapshots of a repository that a policy does not keep.
func Excess(ctx context.Context, r Repository, k fleet.Keep) (int, error) {
	l, err := List(ctx, r)
	return len(Retain(l.Infos, k).Forget), err
}

// expendable returns the ids of what goes: what the policy forgets, and damaged
// snapshots that are older than every one kept, or whose own file still cannot
// be read, since restic removes no data while there is one.
func expendable(ctx context.Context, repo *repository.Repository, l Listing, plan Retention) ([]string, error) {
	var ids []string
	for _, i := range plan.Forget {
		ids = append(ids, i.ID)
	}
	for _, d := range l.Damaged {
		_, err := repo.Snapshot(ctx, d.Info.ID)
		switch {
		case errors.Is(err, repository.ErrDamaged):
			ids = append(ids, d.Info.ID)
		case err != nil && !repository.IsDamage(err):
			return nil, err
		case err == nil && d.Info.Epoch > 0 && Compare(d.Info, plan.Keep[0]) < 0:
			ids = append(ids, d.Info.ID)
		}
	}
	return ids, nil
}

func (e Engine) prune(ctx context.Context, r Repository, c Claim) (err error) {
	ctx, s, err := e.open(ctx, r, restserver.Options{Mode: restserver.Full, Holds: c.Holds}, c.Epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(withCause(ctx, err), s.close()) }()
	return s.program.Prune(ctx, s.repo)
}
