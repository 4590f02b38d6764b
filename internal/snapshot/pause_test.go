package snapshot

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// slowly is a Quiescer that takes its time to pause.
type slowly struct {
	takes  time.Duration
	fails  error
	frozen bool
}

func (q *slowly) Pause(_ context.Context, record func([]string) error) error {
	if err := record([]string{"web"}); err != nil {
		return err
	}
	<-time.After(q.takes)
	q.frozen = true
	return q.fails
}

func (q *slowly) Started(context.Context, time.Time) ([]string, error) { return nil, nil }

func (q *slowly) Unpause(context.Context, ...string) error {
	q.frozen = false
	return nil
}

func TestAPauseAlwaysEnds(t *testing.T) {
	t.Parallel()
	const limit = 5 * time.Second
	for name, c := range map[string]struct {
		slowly
		end   time.Duration // when the pass is done, after start has returned
		given bool          // up
		took  time.Duration
	}{
		"done in time":                     {slowly{takes: time.Second}, time.Second, false, 2 * time.Second},
		"the pass is too long":             {slowly{takes: time.Second}, time.Minute, true, limit},
		"pausing itself is too long":       {slowly{takes: 2 * limit}, 0, true, 2 * limit},
		"pausing fails":                    {slowly{takes: time.Second, fails: errors.New("no")}, time.Minute, false, time.Second},
		"pausing is too long and it fails": {slowly{takes: 2 * limit, fails: errors.New("no")}, 0, true, 2 * limit},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				q := &c.slowly
				recorded := false
				p := &pause{
					limit: limit, giveUp: cancel, resume: func() error { return q.Unpause(ctx) },
					record: func([]string) error { recorded = true; return nil },
					forget: func() error { recorded = false; return nil },
				}
				if err := p.start(ctx, q); !errors.Is(err, c.fails) {
					t.Errorf("start: %v", err)
				}
				select {
				case <-time.After(c.end):
				case <-ctx.Done():
				}
				took, err := p.result()
				if q.frozen || err != nil || took != c.took {
					t.Errorf("frozen %t for %s, %v; want %s", q.frozen, took, err, c.took)
				}
				// what may be paused yet, after a pause that failed, is looked at again
				if recorded != (c.fails != nil) {
					t.Errorf("still recorded: %t", recorded)
				}
				if given := errors.Is(context.Cause(ctx), errPauseTooLong); given != c.given {
					t.Errorf("given up: %t", given)
				}
			})
		})
	}
}
