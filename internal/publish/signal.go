package publish

import (
	"sync"
	"time"
)

const (
	settle     = 300 * time.Millisecond // that more changes are waited for
	settleMost = 2 * time.Second        // after the first
)

// A Signal says that what is wanted has changed. Many changes in a short time are one.
type Signal struct {
	due chan struct{}

	mu    sync.Mutex // guards what follows
	first time.Time  // change that was not passed on, zero for none
	timer *time.Timer
}

// NewSignal returns a signal without a change.
func NewSignal() *Signal { return &Signal{due: make(chan struct{}, 1)} }

// Due receives once after changes. It is the same channel each time.
func (s *Signal) Due() <-chan struct{} { return s.due }

// Changed notes a change, which is passed on when no other has come for a moment.
func (s *Signal) Changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.first.IsZero() {
		s.first = now
	}
	s.after(min(settle, s.first.Add(settleMost).Sub(now)))
}

// Now passes on what is known already, as at the begin of a deploy.
func (s *Signal) Now() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after(0)
}

// after passes the changes on after a pause; called with the lock held.
func (s *Signal) after(pause time.Duration) {
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(pause, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.first = time.Time{}
		select {
		case s.due <- struct{}{}:
		default: // one is there already
		}
	})
}
