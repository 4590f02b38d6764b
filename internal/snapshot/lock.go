package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"salvor/internal/blob"
	"salvor/internal/snapshot/repository"
)

const lockPrefix = "salvor-epoch-"

// lockName is the host name that restic writes into its locks: the epoch in
// which it worked, since locks are judged by that and not by a clock.
func lockName(epoch int) string { return lockPrefix + strconv.Itoa(epoch) }

// ours reports whether a lock was left by a run of ours or of a host whose
// placement is superseded. One job per stack at a time runs here, so a lock of
// our own epoch has no owner any more. Locks of a person's restic are theirs.
func ours(l repository.Lock, epoch int) bool {
	of, ok := strings.CutPrefix(l.Hostname, lockPrefix)
	n, err := strconv.Atoi(of)
	return ok && err == nil && n <= epoch
}

// unlock removes the locks without a living owner, and those that cannot be read, at
// which restic would stop.
func unlock(ctx context.Context, r Repository, repo *repository.Repository, epoch int) error {
	locks, damaged, err := repo.Locks(ctx)
	if err != nil {
		return fmt.Errorf("list locks: %w", err)
	}
	var stale []string
	for _, l := range locks {
		if ours(l, epoch) {
			stale = append(stale, l.ID)
		}
	}
	for _, d := range damaged {
		stale = append(stale, d.ID)
	}
	for _, id := range stale {
		if err := r.Store.Delete(ctx, "locks/"+id); err != nil && !errors.Is(err, blob.ErrNotExist) {
			return fmt.Errorf("remove a lock: %w", err)
		}
	}
	return nil
}
