package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Hold has a host leave the data and snapshots of stacks alone until release is called.
// The context that it returns ends then, and earlier where the host can't be relied
// upon any more.
func (s *Session) Hold(ctx context.Context, host string, stacks []string) (held context.Context, release func(), err error) {
	h, declared := s.Fleet.Host(host)
	if !declared {
		return nil, nil, fmt.Errorf("no host %s is declared", host)
	}
	link, err := s.Hosts.Dial(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	ready := &holding{began: make(chan struct{})}
	own := *link
	own.Sink = ready
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := own.Call(held, agentapi.VerbHold, agentapi.Hold{Stacks: stacks}, &struct{}{})
		cancel(errors.Join(fmt.Errorf("%s does not hold its stacks any more", host), err))
		ended <- err
	}()
	release = func() { cancel(nil); <-ended }
	select {
	case <-ready.began:
		return held, release, nil
	case err := <-ended:
		return nil, nil, err
	}
}

// holding waits for the host to say that it holds.
type holding struct {
	once  sync.Once
	began chan struct{}
}

// Emit implements progress.Sink.
func (h *holding) Emit(e progress.Event) {
	if e.Step == agentapi.VerbHold && e.State == progress.Done {
		h.once.Do(func() { close(h.began) })
	}
}
