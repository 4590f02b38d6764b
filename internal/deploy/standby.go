package deploy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// StandBy has a host leave the data and snapshots of stacks alone until release is called.
// The context that it returns ends then, and earlier where the host can't be relied
// upon any more.
func (s *Session) StandBy(ctx context.Context, host string, stacks []string) (held context.Context, release func(), err error) {
	h, err := placement.Host(s.Fleet, host)
	if err != nil {
		return nil, nil, err
	}
	link, err := s.Hosts.Dial(ctx, h)
	if err != nil {
		return nil, nil, err
	}
	ready := &standing{began: make(chan struct{})}
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	var failed error // once ended
	go func() {
		defer close(ended)
		err := link.Reporting(ready).Call(held, agentapi.VerbStandBy, agentapi.StandBy{Stacks: stacks}, &struct{}{})
		failed = errors.Join(fmt.Errorf("%s is not ready", host), err)
		cancel(failed)
	}()
	release = func() { cancel(nil); <-ended }
	select {
	case <-ready.began:
		return held, release, nil
	case <-ended:
		return nil, nil, failed
	}
}

// standing waits for the host to say that it does.
type standing struct {
	once  sync.Once
	began chan struct{}
}

// Emit implements progress.Sink.
func (h *standing) Emit(e progress.Event) {
	if e.Step == agentapi.VerbStandBy && e.State == progress.Done {
		h.once.Do(func() { close(h.began) })
	}
}
