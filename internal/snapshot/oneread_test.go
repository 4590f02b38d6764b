package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"salvor/internal/blob/blobtest"
	"salvor/internal/snapshot/repository"
)

// A cutting store has everything, but of one read only the first half arrives.
type cutting struct {
	*blobtest.Memory
	left atomic.Int64 // reads until that one
}

func (c *cutting) Get(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	r, err := c.Memory.Get(ctx, path, offset, length)
	if err != nil || c.left.Add(-1) != 0 {
		return r, err
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content[:len(content)/2])), r.Close()
}

// TestOneReadThatIsCutOffIsNoDamage: whichever read it is, the newest snapshot is whole. It
// was skipped, and the one before was restored.
func TestOneReadThatIsCutOffIsNoDamage(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	newest := l.series(t)[2].ID
	for n := int64(1); ; n++ {
		store := &cutting{Memory: l.store}
		store.left.Store(n)
		r := l.repo
		r.Store = store
		if err := readsNewest(t.Context(), r, newest); err != nil {
			t.Errorf("read %d is cut off: %v", n, err)
		}
		if store.left.Load() > 0 {
			if n < 8 {
				t.Errorf("only %d reads", n)
			}
			return
		}
	}
}

// readsNewest lists a repository, opens it, looks for what it lost and reads its newest snapshot.
func readsNewest(ctx context.Context, r Repository, id string) error {
	l, err := Usable(ctx, r, "notes")
	if err != nil {
		return err
	}
	if err := l.Err(); err != nil {
		return err
	}
	repo, err := repository.Open(ctx, r.Store, r.Password, r.Spare)
	if err != nil {
		return err
	}
	if _, _, err := repo.Mend(ctx, repository.Spare{}); err != nil {
		return err
	}
	if damaged, err := repo.LoadIndex(ctx); err != nil || len(damaged) > 0 {
		return fmt.Errorf("damaged indexes: %v, %w", damaged, err)
	}
	s, err := repo.Snapshot(ctx, id)
	if err != nil {
		return err
	}
	note, err := repo.Lookup(ctx, s, inside("notes", "data", "note"))
	if err != nil {
		return err
	}
	content, err := repo.File(ctx, note)
	if err == nil && string(content) != "three" {
		err = fmt.Errorf("the note is %q", content)
	}
	return err
}
