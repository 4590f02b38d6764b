package startup

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// turnLimit ends a turn: what takes longer waits for the network, or for a
// service to be healthy, and leaves the processor to others.
const turnLimit = 5 * time.Second

// turns has few stacks at a time pull, create and start: six at once on two cores
// are not up sooner, and the first of them is up late. Those that only have to start
// go before those that have images to pull.
type turns struct {
	mu      sync.Mutex // guards what follows
	free    int
	waiting map[bool][]chan struct{} // by whether it only starts, first come first
}

func newTurns() *turns {
	return &turns{free: max(1, runtime.NumCPU()/2), waiting: map[bool][]chan struct{}{}}
}

// take waits for a turn. It ends with done, which may be called again, or after
// turnLimit.
func (t *turns) take(ctx context.Context, starts bool) (done func(), err error) {
	turn := make(chan struct{})
	t.mu.Lock()
	t.waiting[starts] = append(t.waiting[starts], turn)
	t.hand()
	t.mu.Unlock()
	select {
	case <-turn:
		end := sync.OnceFunc(t.end)
		timer := time.AfterFunc(turnLimit, end)
		return func() { timer.Stop(); end() }, nil
	case <-ctx.Done():
		t.leave(starts, turn)
		return nil, ctx.Err()
	}
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	t.hand()
}

// leave gives up waiting, or the turn that came in that moment.
func (t *turns) leave(starts bool, turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[starts], turn)
	if i < 0 {
		t.free++
		t.hand()
		return
	}
	t.waiting[starts] = slices.Delete(t.waiting[starts], i, i+1)
}

// hand gives the free turns to who waits. t.mu is held.
func (t *turns) hand() {
	for _, starts := range []bool{true, false} {
		for t.free > 0 && len(t.waiting[starts]) > 0 {
			close(t.waiting[starts][0])
			t.waiting[starts] = t.waiting[starts][1:]
			t.free--
		}
	}
}
