package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"strconv"

	"golang.org/x/sync/errgroup"

	"salvor/internal/blob"
	"salvor/internal/snapshot/repository"
)

// ErrDamaged is wrapped by errors that mean: the remote does not return what was
// written.
var ErrDamaged = repository.ErrDamaged

// Checked is what a CheckShare has read.
type Checked struct {
	Snapshots int
	Packs     int // of the share
	Bytes     int64
}

// checks is how many packs are read at a time.
const checks = 4

// CheckShare reads every snapshot and index, and each pack of one share out of
// `of`, whole from the remote, and compares each with its name, the hash of its
// content. A day's share is the day's number: after `of` days every pack has
// been read. Every pack that an index names must be there, whole.
func CheckShare(ctx context.Context, r Repository, share, of int) (Checked, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return Checked{}, err
	}
	snapshots, err := repo.Snapshots(ctx)
	if err != nil {
		return Checked{}, fmt.Errorf("check snapshots: %w", err)
	}
	if err := repo.LoadIndex(ctx); err != nil {
		return Checked{}, fmt.Errorf("check snapshots: %w", err)
	}
	packs, err := r.Store.List(ctx, "data")
	if err != nil {
		return Checked{}, err
	}
	c := Checked{Snapshots: len(snapshots)}
	if err := allThere(repo.Packs(), packs); err != nil {
		return c, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checks)
	for _, p := range packs {
		if !inShare(path.Base(p.Path), share, of) {
			continue
		}
		c.Packs, c.Bytes = c.Packs+1, c.Bytes+p.Size
		group.Go(func() error { return checkPack(ctx, r.Store, p) })
	}
	return c, group.Wait()
}

// allThere compares the packs that the indexes name, and the size up to which
// they are used, with what the remote lists.
func allThere(used map[string]int64, listed []blob.Object) error {
	sizes := map[string]int64{}
	for _, o := range listed {
		sizes[path.Base(o.Path)] = o.Size
	}
	for id, least := range used {
		switch size, ok := sizes[id]; {
		case !ok:
			return fmt.Errorf("pack %s is missing: %w", short(id), ErrDamaged)
		case size < least:
			return fmt.Errorf("pack %s has %d bytes of %d: %w", short(id), size, least, ErrDamaged)
		}
	}
	return nil
}

// inShare spreads packs evenly over the shares by their names.
func inShare(name string, share, of int) bool {
	n, err := strconv.ParseUint(name[:min(8, len(name))], 16, 64)
	return err == nil && of > 0 && int(n%uint64(of)) == share%of
}

func checkPack(ctx context.Context, store blob.Store, p blob.Object) error {
	content, err := store.Get(ctx, "data/"+p.Path, 0, -1)
	if err != nil {
		return fmt.Errorf("check pack %s: %w", path.Base(p.Path), err)
	}
	defer content.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return fmt.Errorf("check pack %s: %w", path.Base(p.Path), err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != path.Base(p.Path) {
		return fmt.Errorf("pack %s: content does not match its name: %w", short(path.Base(p.Path)), ErrDamaged)
	}
	return nil
}
