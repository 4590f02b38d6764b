package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"salvor/internal/blob"
)

// Swept is what a Sweep removed.
type Swept struct {
	Packs int
	Bytes int64
	Lost  int // packs that the indexes named and the remote does not have; they are named no longer
}

// worthRewriting is which share of a pack must be needed by no snapshot before the rest
// is written again without it.
const worthRewriting = 0.5

// indexed is how many blobs one index names at most, as in restic.
const indexed = 50_000

// Sweep removes the data that no snapshot needs, in an order in which it can be
// interrupted anywhere and called again. Nothing else may write to the repository
// meanwhile. Where an index is damaged, or the file or a folder of a snapshot that must
// says has to be whole can't be read, no data is removed; of other snapshots as much
// stays as can be read.
func (r *Repository) Sweep(ctx context.Context, must func(id string) bool) (Swept, error) {
	s := sweep{repo: r, sizes: map[string]int64{}, used: map[string]bool{}, next: map[string][]entry{}}
	if err := s.survey(ctx); err != nil {
		return s.done, err
	}
	if err := s.forgetLost(ctx); err != nil {
		return s.done, err
	}
	if err := s.mark(ctx, must); err != nil {
		return s.done, err
	}
	if err := s.sort(ctx); err != nil {
		return s.done, err
	}
	return s.done, s.remove(ctx)
}

// Measure returns what a Sweep would remove once some snapshots are gone, and changes
// nothing.
func (r *Repository) Measure(ctx context.Context, gone, must func(id string) bool) (Swept, error) {
	s := sweep{repo: r, sizes: map[string]int64{}, used: map[string]bool{}, next: map[string][]entry{}, gone: gone, dry: true}
	if err := s.survey(ctx); err != nil {
		return s.done, err
	}
	if err := s.mark(ctx, must); err != nil {
		return s.done, err
	}
	return s.done, s.sort(ctx)
}

// sweep is one Sweep under way.
type sweep struct {
	repo    *Repository
	gone    func(id string) bool // snapshots that are counted as removed, nil for none
	dry     bool                 // nothing is written
	indexes []string             // that are there now
	sizes   map[string]int64     // of the packs that the remote lists
	used    map[string]bool      // blobs that a snapshot needs
	next    map[string][]entry
	changed bool // next is not what the indexes say
	drop    []string
	done    Swept
}

func (s *sweep) survey(ctx context.Context) error {
	loss, listed, err := s.repo.Survey(ctx)
	if err == nil && len(loss.Indexes) > 0 {
		err = loss.Indexes[0].Err
	}
	if err != nil {
		return err
	}
	for _, o := range listed {
		s.sizes[path.Base(o.Path)] = o.Size
	}
	objects, err := s.repo.store.List(ctx, "index")
	s.indexes = names(objects)
	return err
}

// forgetLost takes packs that the remote has lost out of the index, so that what they held is
// uploaded again.
func (s *sweep) forgetLost(ctx context.Context) error {
	for id, blobs := range s.repo.entries() {
		if _, there := s.sizes[id]; there {
			s.next[id] = blobs
		} else {
			s.done.Lost++
		}
	}
	if s.done.Lost > 0 {
		if err := s.index(ctx); err != nil {
			return err
		}
		if err := s.survey(ctx); err != nil {
			return err
		}
	}
	s.next = map[string][]entry{}
	return nil
}

// mark finds every blob that a snapshot needs.
func (s *sweep) mark(ctx context.Context, must func(id string) bool) error {
	snapshots, damaged, err := s.repo.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, d := range damaged {
		if must(d.ID) {
			return d.Err
		}
	}
	for _, snap := range snapshots {
		if s.gone != nil && s.gone(snap.ID) {
			continue
		}
		if err := s.tree(ctx, snap.Tree); err != nil && (must(snap.ID) || !IsDamage(err)) {
			return fmt.Errorf("snapshot %s: %w", ShortID(snap.ID), err)
		}
	}
	return nil
}

func (s *sweep) tree(ctx context.Context, id string) error {
	if s.used[id] {
		return nil
	}
	nodes, err := s.repo.Tree(ctx, id)
	if err != nil {
		return err
	}
	s.used[id] = true
	var errs []error
	for _, n := range nodes {
		for _, content := range n.Content {
			s.used[content] = true
		}
		if n.Type == "dir" {
			errs = append(errs, s.tree(ctx, n.Subtree))
		}
	}
	return errors.Join(errs...)
}

// sort decides what becomes of each pack. A blob that is in several is needed in one.
func (s *sweep) sort(ctx context.Context) error {
	packs := s.repo.entries()
	if s.dry {
		s.skipLost(packs)
	}
	kept := map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(packs)) {
		size := s.sizes[id]
		var needed, unneeded int64
		wanted := map[string]bool{}
		for _, e := range packs[id] {
			if s.used[e.ID] && !kept[e.ID] {
				kept[e.ID], wanted[e.ID] = true, true
				needed += e.Length
			} else {
				unneeded += e.Length
			}
		}
		if float64(unneeded) < worthRewriting*float64(needed+unneeded) {
			s.next[id] = packs[id]
			continue
		}
		if s.dry {
			s.done.Packs, s.done.Bytes = s.done.Packs+1, s.done.Bytes+size-needed
			continue
		}
		if err := s.rewrite(ctx, id, packs[id], wanted); err != nil {
			return err
		}
		if _, stays := s.next[id]; !stays {
			s.changed, s.drop = true, append(s.drop, id)
			s.done.Packs, s.done.Bytes = s.done.Packs+1, s.done.Bytes+size
		}
	}
	for id, size := range s.sizes { // what an upload left that was interrupted
		if _, named := packs[id]; !named {
			s.drop = append(s.drop, id)
			s.done.Packs, s.done.Bytes = s.done.Packs+1, s.done.Bytes+size
		}
	}
	slices.Sort(s.drop)
	return nil
}

// skipLost leaves out the packs that the remote has lost.
func (s *sweep) skipLost(packs map[string][]entry) {
	maps.DeleteFunc(packs, func(id string, _ []entry) bool {
		_, there := s.sizes[id]
		if !there {
			s.done.Lost++
		}
		return !there
	})
}

// rewrite writes what is needed of a pack into another one. A pack of which something
// needed can't be read stays.
func (s *sweep) rewrite(ctx context.Context, id string, entries []entry, wanted map[string]bool) error {
	if len(wanted) == 0 {
		return nil
	}
	other, within, err := s.repo.rewrite(ctx, id, slices.DeleteFunc(slices.Clone(entries), func(e entry) bool { return !wanted[e.ID] }))
	if err != nil {
		return err
	}
	if len(within) < len(wanted) {
		s.next[id] = entries
		return nil
	}
	s.next[other] = within
	for _, e := range within {
		s.done.Bytes -= e.Length
	}
	return nil
}

// remove puts the new indexes in the place of the old ones, and then removes packs.
func (s *sweep) remove(ctx context.Context) error {
	if s.changed {
		if err := s.index(ctx); err != nil {
			return err
		}
	}
	for _, id := range s.drop {
		if err := s.repo.store.Delete(ctx, packPath(id)); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return fmt.Errorf("remove pack %s: %w", ShortID(id), err)
		}
	}
	return nil
}

func (s *sweep) index(ctx context.Context) error {
	written := map[string]bool{}
	var file indexFile
	count := 0
	flush := func() error {
		id, err := s.repo.putIndex(ctx, file)
		written[id], file, count = true, indexFile{}, 0
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(s.next)) {
		file.Packs = append(file.Packs, indexPack{id, s.next[id]})
		if count += len(s.next[id]); count >= indexed {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(file.Packs) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	for _, id := range s.indexes {
		if written[id] {
			continue
		}
		if err := s.repo.store.Delete(ctx, "index/"+id); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return fmt.Errorf("remove index %s: %w", ShortID(id), err)
		}
	}
	return nil
}

func (r *Repository) putIndex(ctx context.Context, file indexFile) (string, error) {
	plain, err := json.Marshal(file)
	if err != nil {
		return "", err
	}
	sealed, err := r.key.seal(plain)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(sealed)
	id := hex.EncodeToString(sum[:])
	if _, err := r.store.Put(ctx, "index/"+id, bytes.NewReader(sealed), int64(len(sealed))); err != nil {
		return "", fmt.Errorf("write an index: %w", err)
	}
	return id, nil
}

// entries are the packs that the loaded indexes name.
func (r *Repository) entries() map[string][]entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.packs)
}
