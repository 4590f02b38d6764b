package cloudflare

import (
	"context"
	"sync"
	"time"
)

// A share is one host's part of the account's requests: never more than its limit within any
// window. Half of the limit is there at once and the other half comes over the window.
type share struct {
	every time.Duration // between two requests, once the burst is used up
	burst int

	mu   sync.Mutex // guards what follows
	full time.Time  // when all of the burst is there again
	shut time.Time  // until when the API takes no request at all
}

func newShare(limit int, window time.Duration) *share {
	half := max(limit/2, 1)
	return &share{every: window / time.Duration(half), burst: half}
}

// wait returns when one more request may be made.
func (s *share) wait(ctx context.Context) error {
	for {
		pause := s.take(time.Now())
		if pause <= 0 {
			return nil
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// take counts a request, or says how long to wait before asking again.
func (s *share) take(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pause := s.shut.Sub(now); pause > 0 {
		return pause
	}
	if s.full.Before(now) {
		s.full = now
	}
	next := s.full.Add(s.every)
	if pause := next.Sub(now) - time.Duration(s.burst)*s.every; pause > 0 {
		return pause
	}
	s.full = next
	return 0
}

// close lets no request pass until pause is over.
func (s *share) close(pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if until := time.Now().Add(pause); until.After(s.shut) {
		s.shut = until
	}
}

// sleep waits for pause. A deadline that comes before its end is noticed at once.
func sleep(ctx context.Context, pause time.Duration) error {
	if until, ok := ctx.Deadline(); ok && time.Until(until) < pause {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
