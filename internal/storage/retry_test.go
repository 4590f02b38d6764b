package storage

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/fserrors"

	"salvor/internal/fleet"
	"salvor/internal/secret"
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

// TestAFrozenRemoteIsReportedSoon is one of the smaller faults of issue 10: a remote
// that had frozen took 200 s until `snapshot take` said so, 206 s in `recover`.
func TestAFrozenRemoteIsReportedSoon(t *testing.T) {
	frozen := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		f, began := &Folder{remote: "nas", pause: retryPause, patience: patience}, time.Now()
		err := f.fail("look up", "claims", f.ask(t.Context(), frozen))
		if !errors.Is(err, ErrUnreachable) || time.Since(began) != patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		// a long listing is not a silence
		err = f.listen(t.Context(), func(ctx context.Context, heard func()) error {
			for range 5 {
				<-time.After(patience / 2)
				heard()
			}
			return ctx.Err()
		})
		if err != nil {
			t.Error(err)
		}
		// what has begun to transfer may take longer, but is not begun again after a silence
		tries := 0
		err = f.retry(t.Context(), func(context.Context) error {
			tries++
			<-time.After(idleTimeout)
			return os.ErrDeadlineExceeded
		})
		if !errors.Is(err, os.ErrDeadlineExceeded) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
		// a caller who gives up is not a remote that is silent
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := f.ask(ctx, frozen); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestOpeningAFrozenRemoteEnds: rclone's webdav looks the folder up as it is opened.
func TestOpeningAFrozenRemoteEnds(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	remotes := Remotes{"nas": {Type: "webdav", Options: map[string]secret.Value{"url": secret.New([]byte(server.URL)), "vendor": secret.New([]byte("other"))}}}
	f := &Folder{remote: "nas", patience: 50 * time.Millisecond}
	if err := f.fail("open", "salvor", f.connect(t.Context(), remotes, fleet.Location{Remote: "nas", Path: "salvor"})); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// TestAServerNearbyIsNotWaitedFor longer than for its answers, unless the remote says so.
func TestAServerNearbyIsNotWaitedFor(t *testing.T) {
	backend, err := backendOf(typeWebDAV)
	if err != nil {
		t.Fatal(err)
	}
	for declared, want := range map[string]string{"": webdavPause, "20ms": "20ms"} {
		remote := Remote{Type: typeWebDAV, Options: map[string]secret.Value{}}
		if declared != "" {
			remote.Options["pacer_min_sleep"] = secret.NewString(declared)
		}
		config, err := remote.config(backend)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := config.Get("pacer_min_sleep"); got != want {
			t.Errorf("declared %q: %s", declared, got)
		}
	}
}
