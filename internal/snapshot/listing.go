package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/snapshot/repository"
)

// A Listing is what a repository holds: the snapshots that restore may pick
// from, oldest first, those that are known to be damaged, and those that are
// only reported (see Trust).
type Listing struct {
	Infos    []Info
	Damaged  []Damaged
	Unproven []Info // not known to be proven
	Future   []Info // of an epoch above the placement's

	begun []string // of the unproven ones, those that this host began itself
}

// Damaged is a snapshot that cannot be restored, and why. Of one whose own file
// cannot be read only the ID is known.
type Damaged struct {
	Info   Info
	Reason string
}

// List returns a repository's snapshots. A repository that is not there is
// ErrNoRepository, a password that does not fit secret.ErrLocked.
func List(ctx context.Context, r Repository) (Listing, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return Listing{}, err
	}
	return list(ctx, repo, r)
}

// Usable is List where the newest snapshot was read from the remote with what it
// says of itself: newer ones that do not read back are among the damaged.
func Usable(ctx context.Context, r Repository, stack string) (Listing, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return Listing{}, err
	}
	l, _, err := usable(ctx, repo, r, stack)
	return l, err
}

// usable is Usable, with the metadata of the newest.
func usable(ctx context.Context, repo *repository.Repository, r Repository, stack string) (Listing, Meta, error) {
	l, err := list(ctx, repo, r)
	for err == nil {
		newest, some := Newest(l.Infos)
		if !some {
			return l, Meta{}, nil
		}
		var m Meta
		if m, err = metaOf(ctx, repo, newest.ID, stack); err == nil {
			return l, m, nil
		}
		if repository.IsDamage(err) {
			l.condemn(newest, err.Error())
			err = nil
		}
	}
	return l, Meta{}, err
}

// condemn moves a snapshot to the damaged ones.
func (l *Listing) condemn(i Info, reason string) {
	l.Infos = slices.DeleteFunc(l.Infos, func(o Info) bool { return o.ID == i.ID })
	l.Damaged = append(l.Damaged, Damaged{i, reason})
}

func (d Damaged) finding(stack string) finding.Finding {
	return finding.Finding{
		Code: finding.SnapshotDamaged, Severity: finding.Warning, Subject: stack,
		Text: fmt.Sprintf("snapshot %s can't be restored and is skipped: %s", repository.ShortID(d.Info.ID), d.Reason),
		Fix:  "salvor snapshot ls " + stack + " lists the good ones",
	}
}

// Err says why the snapshot can't be restored; it wraps ErrDamaged.
func (d Damaged) Err() error {
	return fault.WithHint(fmt.Errorf("snapshot %s: %s: %w", repository.ShortID(d.Info.ID), d.Reason, ErrDamaged), "salvor snapshot ls lists the good ones")
}

// Err names what is damaged, nil for nothing.
func (l Listing) Err() error {
	var errs []error
	for _, d := range l.Damaged {
		errs = append(errs, d.Err())
	}
	return errors.Join(errs...)
}

// Find returns what is known of a damaged snapshot.
func (l Listing) Find(id string) (Damaged, bool) {
	at := slices.IndexFunc(l.Damaged, func(d Damaged) bool { return d.Info.ID == id })
	if at < 0 {
		return Damaged{}, false
	}
	return l.Damaged[at], true
}

// A Described snapshot says what it holds. Damaged says why it cannot be
// restored, "" for a good one.
type Described struct {
	Info     Info
	Meta     Meta
	Damaged  string
	Unproven bool // not known to be proven: it is restored only by its id
	Future   bool // of an epoch above the placement's: it is not restored
}

// Describe is List with what each snapshot says of itself, read from the remote,
// oldest first.
func Describe(ctx context.Context, r Repository, stack string) ([]Described, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return nil, err
	}
	l, err := list(ctx, repo, r)
	if err != nil {
		return nil, err
	}
	var all []Described
	for _, i := range l.Future {
		all = append(all, Described{Info: i, Future: true}) // what it says of itself does not count
	}
	for _, i := range l.Unproven {
		all = append(all, Described{Info: i, Unproven: true})
	}
	for _, d := range l.Damaged {
		all = append(all, Described{Info: d.Info, Damaged: d.Reason})
	}
	for _, i := range l.Infos {
		d := Described{Info: i}
		if d.Meta, err = metaOf(ctx, repo, i.ID, stack); repository.IsDamage(err) {
			d.Damaged = err.Error()
		} else if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b Described) int { return Compare(a.Info, b.Info) })
	return all, nil
}

// Listed is the listing that descriptions belong to.
func Listed(described []Described) Listing {
	var l Listing
	for _, d := range described {
		switch {
		case d.Damaged != "":
			l.Damaged = append(l.Damaged, Damaged{d.Info, d.Damaged})
		case d.Future:
			l.Future = append(l.Future, d.Info)
		case d.Unproven:
			l.Unproven = append(l.Unproven, d.Info)
		default:
			l.Infos = append(l.Infos, d.Info)
		}
	}
	return l
}

func openRepository(ctx context.Context, r Repository) (*repository.Repository, error) {
	repo, err := repository.Open(ctx, r.Store, r.Password, r.Spare)
	if errors.Is(err, blob.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoRepository, err)
	}
	return repo, err
}

// list returns what the snapshots' own files say, as far as r.Trust goes; r.Damaged
// holds the ids of others that are damaged, and why.
func list(ctx context.Context, repo *repository.Repository, r Repository) (Listing, error) {
	snapshots, damaged, err := repo.Snapshots(ctx)
	if err != nil {
		return Listing{}, fmt.Errorf("list snapshots: %w", err)
	}
	var l Listing
	for _, d := range damaged {
		l.Damaged = append(l.Damaged, Damaged{Info{ID: d.ID}, d.Err.Error()})
	}
	for _, s := range snapshots {
		if i, err := infoOf(s); err == nil {
			l.Infos = append(l.Infos, i)
		}
	}
	slices.SortFunc(l.Infos, Compare)
	l = r.Trust.judge(l)
	for _, i := range slices.Clone(l.Infos) {
		if reason, bad := r.Damaged[i.ID]; bad {
			l.condemn(i, reason)
		}
	}
	return l, nil
}

// metaOf reads what a snapshot says of itself.
func metaOf(ctx context.Context, repo *repository.Repository, id, stack string) (Meta, error) {
	s, err := repo.Snapshot(ctx, id)
	if err != nil {
		return Meta{}, err
	}
	return readMeta(ctx, repo, s, stack)
}
