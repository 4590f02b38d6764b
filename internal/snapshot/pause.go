package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"

	"salvor/internal/hold"
)

// errPauseTooLong ends a pass that would hold a stack longer than allowed.
var errPauseTooLong = errors.New("the pause would last longer than allowed")

// A pause holds a stack still from start to end, at most for limit; then giveUp is
// called and the stack continues. The limit counts from start: pausing itself, which
// is never interrupted, may use it up, and the stack continues as soon as it is known
// which containers that has paused.
//
//	start ──▶ paused ──▶ end            the pass is good
//	  └── limit ──▶ giveUp, end
type pause struct {
	record func(containers []string) error
	resume func() error
	forget func() error // of the record, once it is certain that nothing is paused
	giveUp func(error)
	limit  time.Duration

	mu     sync.Mutex    // guards everything below
	paused chan struct{} // nil before start, closed when the Quiescer has paused or failed
	timer  *time.Timer
	began  time.Time
	still  time.Time // when everything stood still
	took   time.Duration
	err    error // of resume

	doubted bool // pausing failed: the engine may carry it out later, so the daemon looks again
}

func (p *pause) start(ctx context.Context, q Quiescer) error {
	p.mu.Lock()
	paused := make(chan struct{})
	p.paused, p.began = paused, time.Now()
	p.timer = time.AfterFunc(p.limit, func() {
		p.giveUp(errPauseTooLong)
		p.end()
	})
	p.mu.Unlock()
	err := q.Pause(context.WithoutCancel(ctx), p.record)
	p.mu.Lock()
	p.doubted, p.still = err != nil, time.Now()
	p.mu.Unlock()
	close(paused)
	if err != nil {
		p.end()
		return err
	}
	hold.At(ctx, "paused")
	return nil
}

// end resumes the stack, after a pausing that is under way. It may be called when
// the stack never was paused, and twice.
func (p *pause) end() {
	p.mu.Lock()
	paused := p.paused
	p.mu.Unlock()
	if paused == nil {
		return
	}
	<-paused
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
	if p.err == nil && !p.doubted {
		p.err = p.forget()
	}
	return p.took, p.err
}
