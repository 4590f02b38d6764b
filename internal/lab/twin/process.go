package twin

import (
	"context"
	"errors"
	"sync"
)

// errKilled is what a process that was killed gets from every call that leaves it.
var errKilled = errors.New("killed")

// A process is one run of salvor or salvord. It may be killed at any call that leaves
// it: the call, and every later one, has no effect, and its context ends.
type process struct {
	name string
	host *host // nil for an operator's

	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended

	mu     sync.Mutex // guards what follows
	calls  int
	killAt int // the call at which it is killed, 0 for none
	dead   bool
	at     string // the call at which it was killed
}

// newProcess returns a process and its context.
func newProcess(ctx context.Context, name string, h *host) (*process, context.Context) {
	p := &process{name: name, host: h, done: make(chan struct{})}
	ctx, p.cancel = context.WithCancel(ctx)
	return p, ctx
}

// kill ends the process.
func (p *process) kill() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.cancel()
}

func (p *process) killed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// edge is passed at each call that leaves the process, and when its answer is there.
func (p *process) edge(ctx context.Context, op string) error {
	p.mu.Lock()
	p.calls++
	struck := !p.dead && p.killAt > 0 && p.calls >= p.killAt
	if struck {
		p.at = op
	}
	p.mu.Unlock()
	if struck {
		p.kill()
	}
	if p.host != nil {
		p.host.passed()
	}
	if p.killed() {
		return errKilled
	}
	return ctx.Err()
}
