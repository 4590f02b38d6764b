package keeper

import (
	"context"
	"sync"
	"time"

	"salvor/internal/agent/here"
)

const (
	takenAtOnce = 2                // snapshots: more are not done sooner on a small server
	TakerTurn   = 10 * time.Minute // after which one makes way: it may continue for days
)

// Takers take the snapshots of a few stacks at once, so that a container that makes
// its own stack's last for ever keeps no other stack from its snapshots.
type Takers struct {
	turn  time.Duration
	slots chan struct{}
	lanes chan struct{} // of copies
	kept  *here.Kept    // the repositories that are asked whether anything is new
	all   sync.WaitGroup

	mu    sync.Mutex // guards under
	under map[string]bool
}

// NewTakers returns takers of which each has a slot for at most a turn.
func NewTakers(turn time.Duration, kept *here.Kept) *Takers {
	return &Takers{turn: turn, kept: kept, slots: make(chan struct{}, takenAtOnce), lanes: make(chan struct{}, takenAtOnce), under: map[string]bool{}}
}

// start has take called for a stack once it is its turn, unless it waits for that or
// is under way already. What lasts longer than a turn continues in parallel to the
// others.
func (t *Takers) start(ctx context.Context, stack string, take func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under[stack] {
		return
	}
	t.under[stack] = true
	t.all.Go(func() {
		defer t.end(stack)
		if leave := t.enter(ctx, t.slots); leave != nil {
			defer leave()
			take()
		}
	})
}

// copy has work called that copies a snapshot, once it is its turn among the copies. It is
// called also when ctx has ended, and ends at once then.
func (t *Takers) copy(ctx context.Context, work func()) {
	t.all.Go(func() {
		if leave := t.enter(ctx, t.lanes); leave != nil {
			defer leave()
		}
		work()
	})
}

// enter waits for a slot and has it for a turn at most; nil when ctx has ended.
func (t *Takers) enter(ctx context.Context, slots chan struct{}) (leave func()) {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	once := sync.OnceFunc(func() { <-slots })
	timer := time.AfterFunc(t.turn, once)
	return func() { timer.Stop(); once() }
}

func (t *Takers) end(stack string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, stack)
}

// Wait returns when none is under way; their context has ended.
func (t *Takers) Wait() { t.all.Wait() }
