package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"salvor/internal/blob"
	"salvor/internal/snapshot/repository"
)

// Inside is one snapshot, opened to read what it holds. Nothing is written.
type Inside struct {
	Info Info
	Meta Meta
	Flaw string          // why Meta can't be read, "" where it was
	Root repository.Node // the stack's folder: its volumes by DirName, and the snapshot's own
	Repo *repository.Repository
}

// IDs returns the ids of a repository's snapshots, by their names alone: the password is
// not needed. Where there is no repository there are none.
func IDs(ctx context.Context, r Repository) ([]string, error) {
	listed, err := r.Store.List(ctx, "snapshots")
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, o := range listed {
		if id := path.Base(o.Path); repository.ValidName(id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Open opens one snapshot of a stack, by its full id. One that is not Salvor's, or of which
// the stack's folder can't be read, wraps ErrDamaged or ErrNoSnapshot; what it says of
// itself may be damaged while the rest can be read.
func Open(ctx context.Context, r Repository, stack, id string) (*Inside, error) {
	repo, err := openRepository(ctx, r)
	if err != nil {
		return nil, err
	}
	s, err := repo.Snapshot(ctx, id)
	if errors.Is(err, blob.ErrNotExist) {
		err = fmt.Errorf("snapshot %s: %w", repository.ShortID(id), ErrNoSnapshot)
	}
	if err != nil {
		return nil, err
	}
	in := &Inside{Repo: repo}
	if in.Info, err = infoOf(s); err != nil {
		return nil, err
	}
	if in.Root, err = repo.Lookup(ctx, s, inside(stack)); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("snapshot %s holds nothing of stack %s: %w", repository.ShortID(id), stack, ErrNoSnapshot)
	}
	if err != nil {
		return nil, err
	}
	in.Meta, err = readMeta(ctx, repo, s, stack)
	if repository.IsDamage(err) {
		in.Flaw, err = err.Error(), nil
	}
	return in, err
}

func infoOf(s repository.Snapshot) (Info, error) {
	i, ok := ParseTags(s.Tags)
	if !ok {
		return i, fmt.Errorf("snapshot %s was not taken by Salvor: %w", repository.ShortID(s.ID), ErrNoSnapshot)
	}
	i.ID, i.Time = s.ID, s.Time.UTC()
	return i, nil
}

// IsOwn reports whether a folder of Root is the snapshot's own: what it says of itself,
// and the stack's Compose file.
func IsOwn(name string) bool { return name == metaDir }
