package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/snapshot/repository"
)

// ErrDamaged is wrapped by errors that mean: the remote does not return what was
// written.
var ErrDamaged = repository.ErrDamaged

// IsDamage reports whether an error says that something of the repository is
// lost or changed, and not that the remote does not answer.
func IsDamage(err error) bool { return repository.IsDamage(err) }

// Checked is what a CheckShare has read, and what it found to be lost.
type Checked struct {
	Snapshots int
	Packs     int // of the share
	Bytes     int64
	Suspects  []string          // packs that are lost or differ, for the next Job
	Damaged   map[string]string // snapshots that can't be restored whole, and why
}

// checks is how many packs are read at a time.
const checks = 4

// CheckShare reads every snapshot with what it says of itself, every index, and each
// pack of one share out of `of`, whole from the remote, and compares each with its
// name, the hash of its content; and the two files that open the repository. A day's share is the day's number: after `of` days
// every pack has been read. Every pack that an index names must be there. What is
// lost is ErrDamaged, in addition to all that was found; everything is read in any
// case.
func CheckShare(ctx context.Context, r Repository, stack string, share, of int) (Checked, error) {
	return check(ctx, r, stack, false, func(name string) bool { return inShare(name, share, of) })
}

// CheckAll is CheckShare with every folder of every snapshot, each of which is read, and of
// the packs all, or with data false none but those with folders.
func CheckAll(ctx context.Context, r Repository, stack string, data bool) (Checked, error) {
	return check(ctx, r, stack, true, func(string) bool { return data })
}

func check(ctx context.Context, r Repository, stack string, folders bool, mine func(pack string) bool) (Checked, error) {
	r.Damaged, r.Trust = nil, Trust{} // what was lost once may be whole again, and all of it is read
	repo, err := openRepository(ctx, r)
	if err != nil {
		return Checked{}, err
	}
	listed, err := list(ctx, repo, r)
	if err != nil {
		return Checked{}, fmt.Errorf("check snapshots: %w", err)
	}
	c := Checked{Snapshots: len(listed.Infos), Damaged: map[string]string{}}
	loss, packs, err := repo.Survey(ctx)
	if err != nil {
		return c, fmt.Errorf("check snapshots: %w", err)
	}
	packs = slices.DeleteFunc(packs, func(p blob.Object) bool { return !mine(path.Base(p.Path)) })
	for _, p := range packs {
		c.Packs, c.Bytes = c.Packs+1, c.Bytes+p.Size
	}
	differ, err := checkPacks(ctx, repo, packs)
	if err != nil {
		return c, fmt.Errorf("check snapshots: %w", err)
	}
	for _, d := range differ {
		if !slices.ContainsFunc(loss.Packs, func(o repository.Damaged) bool { return o.ID == d.ID }) {
			loss.Packs = append(loss.Packs, d)
		}
	}
	for _, d := range loss.Packs {
		c.Suspects = append(c.Suspects, d.ID)
	}
	have, err := repo.Spare(ctx)
	if err != nil {
		return c, fmt.Errorf("check snapshots: %w", err)
	}
	if !have.Whole() {
		err = fmt.Errorf("its key or its configuration is lost or has changed: %w", ErrDamaged)
	}
	return c, errors.Join(err, c.judge(ctx, repo, listed, loss, stack, folders))
}

// judge says which snapshots suffer from a loss.
func (c *Checked) judge(ctx context.Context, repo *repository.Repository, l Listing, loss repository.Loss, stack string, folders bool) error {
	for _, d := range l.Damaged {
		c.Damaged[d.Info.ID] = d.Reason
	}
	if folders || len(loss.Packs) > 0 {
		bad, err := damagedSnapshots(ctx, repo, l, loss.Packs)
		if err != nil {
			return err
		}
		maps.Copy(c.Damaged, bad)
	}
	for _, i := range l.Infos {
		if _, known := c.Damaged[i.ID]; known {
			continue
		}
		if _, err := metaOf(ctx, repo, i.ID, stack); repository.IsDamage(err) {
			c.Damaged[i.ID] = err.Error()
			var in *repository.PackError
			if errors.As(err, &in) && !slices.Contains(c.Suspects, in.Pack) {
				c.Suspects = append(c.Suspects, in.Pack)
			}
		} else if err != nil {
			return err
		}
	}
	all := slices.Clone(l.Infos)
	for _, d := range l.Damaged {
		all = append(all, d.Info)
	}
	err := loss.Err()
	for _, i := range all {
		if why, bad := c.Damaged[i.ID]; bad {
			why = strings.TrimSuffix(why, ": "+ErrDamaged.Error())
			err = errors.Join(err, fmt.Errorf("snapshot %s: %s: %w", repository.ShortID(i.ID), why, ErrDamaged))
		}
	}
	return err
}

// checkPacks reads packs whole and returns those that differ from what was
// written.
func checkPacks(ctx context.Context, repo *repository.Repository, packs []blob.Object) ([]repository.Damaged, error) {
	failed := make([]error, len(packs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checks)
	for n, p := range packs {
		group.Go(func() error {
			if failed[n] = repo.PackIntact(ctx, path.Base(p.Path)); repository.IsDamage(failed[n]) {
				return nil
			}
			return failed[n]
		})
	}
	err := group.Wait()
	var differ []repository.Damaged
	for n, p := range packs {
		if failed[n] != nil {
			differ = append(differ, repository.Damaged{ID: path.Base(p.Path), Err: failed[n]})
		}
	}
	return differ, err
}

// inShare spreads packs evenly over the shares by their names.
func inShare(name string, share, of int) bool {
	n, err := strconv.ParseUint(name[:min(8, len(name))], 16, 64)
	return err == nil && of > 0 && int(n%uint64(of)) == share%of
}
