package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errPauseTooLong ends a pass that would hold a stack longer than allowed.
var errPauseTooLong = errors.New("the pause would last longer than allowed")

// A pause holds a stack still from start to end, at most for limit; then the
// stack goes on and giveUp is called.
//
//	start ──▶ paused ──▶ end            the pass is good
//	             └─ limit ─▶ end, giveUp
type pause struct {
	resume func() error
	giveUp func(error)
	limit  time.Duration

	mu    sync.Mutex // guards everything below
	timer *time.Timer
	began time.Time
	took  time.Duration
	err   error // of resume
}

func (p *pause) start(ctx context.Context, q Quiescer) error {
	p.mu.Lock()
	p.began = time.Now()
	p.timer = time.AfterFunc(p.limit, func() {
		p.giveUp(errPauseTooLong)
		p.end()
	})
	p.mu.Unlock()
	err := q.Pause(ctx)
	if err != nil {
		p.end()
	}
	return err
}

// end resumes the stack. It may be called when it never was paused, and twice.
func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		return
	}
	p.timer.Stop()
	p.timer = nil
	p.err = p.resume()
	p.took = time.Since(p.began)
}

func (p *pause) result() (time.Duration, error) {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.took, p.err
}
