package repository

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"salvor/internal/blob"
)

// Loss is what a repository has lost, as far as listings and indexes show it.
type Loss struct {
	Indexes []Damaged
	Packs   []Damaged // missing, or shorter than what is used of them
}

// None reports whether nothing is lost.
func (l Loss) None() bool { return len(l.Indexes) == 0 && len(l.Packs) == 0 }

// Err says what is lost first, as ErrDamaged; nil for nothing.
func (l Loss) Err() error {
	var errs []error
	for _, d := range slices.Concat(l.Indexes, l.Packs) {
		errs = append(errs, d.Err)
	}
	return errors.Join(errs[:min(3, len(errs))]...)
}

// Survey reads every index from the remote and compares the packs that they name
// with what the remote lists. No pack is read.
func (r *Repository) Survey(ctx context.Context) (Loss, []blob.Object, error) {
	var l Loss
	var err error
	if l.Indexes, err = r.LoadIndex(ctx); err != nil {
		return l, nil, err
	}
	listed, err := r.store.List(ctx, "data")
	if err != nil {
		return l, nil, err
	}
	listed = slices.DeleteFunc(listed, func(o blob.Object) bool { return !ValidName(path.Base(o.Path)) })
	l.Packs = r.lost(listed)
	return l, listed, nil
}

// Lost lists the packs in a store, which may know more than the one that the repository was
// opened with, and returns those of the indexes loaded so far that are not there whole.
func (r *Repository) Lost(ctx context.Context, store blob.Store) ([]Damaged, error) {
	listed, err := store.List(ctx, "data")
	if err != nil {
		return nil, err
	}
	return r.lost(listed), nil
}

// lost compares the packs that the indexes name with a listing, and returns what it lacks.
func (r *Repository) lost(listed []blob.Object) []Damaged {
	sizes := map[string]int64{}
	for _, o := range listed {
		sizes[path.Base(o.Path)] = o.Size
	}
	var lost []Damaged
	for id, least := range r.Packs() {
		switch size, ok := sizes[id]; {
		case !ok:
			lost = append(lost, Damaged{id, fmt.Errorf("pack %s is missing: %w", ShortID(id), ErrDamaged)})
		case size < least:
			lost = append(lost, Damaged{id, fmt.Errorf("pack %s has %d bytes of %d: %w", ShortID(id), size, least, ErrDamaged)})
		}
	}
	slices.SortFunc(lost, func(a, b Damaged) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return lost
}

// ShortID is an id as people see it.
func ShortID(id string) string { return id[:min(8, len(id))] }

// Whole reports as ErrDamaged what of a folder or file can't be restored, as far
// as the indexes and a Survey show: every folder is read, and every piece of a
// file must be in a pack that is not lost.
func (r *Repository) Whole(ctx context.Context, root Node, lost []Damaged) error {
	gone := map[string]bool{}
	for _, d := range lost {
		gone[d.ID] = true
	}
	check := func(at string, n Node) error {
		for _, id := range n.Content {
			p, err := r.find(ctx, id)
			if err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
			if gone[p.pack] {
				return fmt.Errorf("%s: pack %s is lost: %w", at, ShortID(p.pack), ErrDamaged)
			}
		}
		return nil
	}
	if root.Type != "dir" {
		return check(root.Name, root)
	}
	return r.Walk(ctx, root, check)
}

// PackIntact reads a pack whole and compares it with its name. One that differs
// is read a second time: a line may err, too.
func (r *Repository) PackIntact(ctx context.Context, id string) error {
	if err := twice(func() error { return r.hashPack(ctx, id) }); err != nil {
		return fmt.Errorf("pack %s: %w", ShortID(id), err)
	}
	return nil
}

func (r *Repository) hashPack(ctx context.Context, id string) error {
	content, err := r.store.Get(ctx, packPath(id), 0, -1)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, content)
	if err = errors.Join(err, content.Close()); err == nil && hex.EncodeToString(sum.Sum(nil)) != id {
		err = fmt.Errorf("content does not match its name: %w", ErrDamaged)
	}
	return err
}

func packPath(id string) string { return "data/" + id[:2] + "/" + id }

// Salvage writes a pack with everything of a damaged one that is still good, and then
// removes that. The index must be rebuilt afterwards. It needs LoadIndex.
func (r *Repository) Salvage(ctx context.Context, id string) error {
	r.mu.Lock()
	entries := r.packs[id]
	r.mu.Unlock()
	if _, _, err := r.rewrite(ctx, id, entries); err != nil {
		return err
	}
	if err := r.store.Delete(ctx, packPath(id)); err != nil && !errors.Is(err, blob.ErrNotExist) {
		return fmt.Errorf("remove the damaged pack %s: %w", ShortID(id), err)
	}
	return nil
}

// rewrite writes a pack of what is good of some blobs of another one, and returns its id
// and what it holds; nothing where nothing is good.
func (r *Repository) rewrite(ctx context.Context, id string, entries []entry) (other string, within []entry, err error) {
	content, err := whole(ctx, r.store, packPath(id))
	if err != nil && !IsDamage(err) {
		return "", nil, fmt.Errorf("salvage pack %s: %w", ShortID(id), err)
	}
	var pack, header bytes.Buffer
	for _, e := range entries {
		if sealed, ok := e.cut(content); ok && r.blobIntact(sealed, e) {
			e.Offset = int64(pack.Len())
			within = append(within, e)
			header.Write(e.header())
			pack.Write(sealed)
		}
	}
	if pack.Len() == 0 {
		return "", nil, nil
	}
	sealed, err := r.key.seal(header.Bytes())
	if err != nil {
		return "", nil, err
	}
	pack.Write(sealed)
	_ = binary.Write(&pack, binary.LittleEndian, uint32(len(sealed))) // a buffer takes everything
	sum := sha256.Sum256(pack.Bytes())
	other = hex.EncodeToString(sum[:])
	if _, err := r.store.Put(ctx, packPath(other), bytes.NewReader(pack.Bytes()), int64(pack.Len())); err != nil {
		return "", nil, fmt.Errorf("salvage pack %s: %w", ShortID(id), err)
	}
	return other, within, nil
}

// cut returns the blob's part of its pack.
func (e entry) cut(pack []byte) ([]byte, bool) {
	size := int64(len(pack))
	if e.Offset < 0 || e.Length < 0 || e.Offset > size || e.Length > size-e.Offset {
		return nil, false
	}
	return pack[e.Offset : e.Offset+e.Length], true
}

func (r *Repository) blobIntact(sealed []byte, e entry) bool {
	_, err := r.plain(sealed, e.ID, e.Raw)
	return err == nil
}

// header is the blob's entry in the header of a pack, as restic's design document
// says under "Pack Format".
func (e entry) header() []byte {
	var kind byte
	if e.Type == "tree" {
		kind = 1
	}
	if e.Raw > 0 {
		kind += 2
	}
	id, _ := hex.DecodeString(e.ID) // it was compared with a hash
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(e.Length))
	if e.Raw > 0 {
		b = binary.LittleEndian.AppendUint32(b, uint32(e.Raw))
	}
	return append(b, id...)
}

// PackOf returns the pack that contains a blob.
func (r *Repository) PackOf(ctx context.Context, blob string) (string, error) {
	p, err := r.find(ctx, blob)
	return p.pack, err
}
