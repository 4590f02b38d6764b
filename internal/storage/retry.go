package storage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rclone/rclone/fs/fserrors"
)

const (
	attempts   = 3
	retryPause = 500 * time.Millisecond
)

// patience is how long a remote may take for an answer that is small: a look-up,
// a listing, a deletion. One that is frozen is known by it.
const patience = 30 * time.Second

// retry does something up to three times as long as its error says that it may
// pass (a cut connection, "slow down"), waiting twice as long each time. The
// backends' own retries of single requests come on top. A remote that has been
// silent for too long is not asked again.
func (f *Folder) retry(ctx context.Context, do func(context.Context) error) error {
	ctx = settings(ctx)
	pause := f.pause
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := do(ctx)
		if err == nil || attempt == attempts || timedOut(err) || !isTransient(err) {
			return withContext(ctx, err)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}

// ask is retry for what has a small answer, each try of which ends when nothing was
// heard for f.patience.
func (f *Folder) ask(ctx context.Context, do func(context.Context) error) error {
	return f.listen(ctx, func(ctx context.Context, _ func()) error { return do(ctx) })
}

// listen is ask for an answer that comes in parts: do calls heard at each of them.
func (f *Folder) listen(ctx context.Context, do func(ctx context.Context, heard func()) error) error {
	return f.retry(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		timer := time.AfterFunc(f.patience, func() { cancel(errNoAnswer) })
		defer timer.Stop()
		err := do(ctx, func() { timer.Reset(f.patience) })
		if err != nil && errors.Is(context.Cause(ctx), errNoAnswer) {
			return f.unanswered()
		}
		return err
	})
}

// errNoAnswer ends a try in which nothing was heard of the remote for too long.
var errNoAnswer = errors.New("silent")

func (f *Folder) unanswered() error {
	return fmt.Errorf("no answer in %s: %w", f.patience, context.DeadlineExceeded)
}

// timedOut reports whether an error means that the remote gave no answer in time, so
// that another try would only wait as long once more.
func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

func isTransient(err error) bool {
	return fserrors.IsRetryError(err) || fserrors.ShouldRetry(err)
}

// withContext adds the end of the context to the error of a backend that does not say it.
func withContext(ctx context.Context, err error) error {
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
