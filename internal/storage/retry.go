package storage

import (
	"context"
	"errors"
	"time"

	"github.com/rclone/rclone/fs/fserrors"
)

const (
	attempts   = 3
	retryPause = 500 * time.Millisecond
)

// retry does something up to three times as long as its error says that it may
// pass (a cut connection, a timeout, "slow down"), waiting twice as long each
// time. The backends' own retries of single requests come on top.
func (f *Folder) retry(ctx context.Context, do func(context.Context) error) error {
	ctx = settings(ctx)
	pause := f.pause
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := do(ctx)
		if err == nil || attempt == attempts || !passing(err) {
			return ended(ctx, err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

func passing(err error) bool {
	return fserrors.IsRetryError(err) || fserrors.ShouldRetry(err)
}

// ended says that the context ended where a backend's error does not.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return errors.Join(ctx.Err(), err)
	}
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
