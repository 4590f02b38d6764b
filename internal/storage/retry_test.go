package storage

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"
)

func TestRetry(t *testing.T) {
	lasting := errors.New("forbidden")
	for _, c := range []struct {
		name  string
		errs  []error // one a try
		tries int
		took  time.Duration
		want  error
	}{
		{"at once", []error{nil}, 1, 0, nil},
		{"a cut connection", []error{io.ErrUnexpectedEOF, nil}, 2, retryPause, nil},
		{"slow down, twice", []error{fserrors.RetryError(lasting), fserrors.RetryError(lasting), nil}, 3, 3 * retryPause, nil},
		{"never better", []error{io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF}, 3, 3 * retryPause, io.ErrUnexpectedEOF},
		{"lasting", []error{lasting}, 1, 0, lasting},
		{"missing", []error{fs.ErrorObjectNotFound}, 1, 0, fs.ErrorObjectNotFound},
		{"the content's own fault", []error{fserrors.NoLowLevelRetryError(io.ErrUnexpectedEOF)}, 1, 0, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, tries, began := &Folder{pause: retryPause}, 0, time.Now()
				err := f.retry(t.Context(), func(context.Context) error {
					tries++
					return c.errs[tries-1]
				})
				if !errors.Is(err, c.want) || tries != c.tries || time.Since(began) != c.took {
					t.Errorf("%v after %d tries in %v; want %v, %d, %v", err, tries, time.Since(began), c.want, c.tries, c.took)
				}
			})
		})
	}
}

func TestRetryEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), retryPause/2)
		defer cancel()
		f, tries := &Folder{pause: retryPause}, 0
		err := f.retry(ctx, func(context.Context) error {
			tries++
			return io.ErrUnexpectedEOF
		})
		if !errors.Is(err, context.DeadlineExceeded) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}
