package agent

import (
	"context"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// TestS03NothingOfAStackBeginsWhileItsHostStandsBy holds the stack's lock until salvor
// hangs up.
func TestS03NothingOfAStackBeginsWhileItsHostStandsBy(t *testing.T) {
	t.Parallel()
	h := &Host{Paths: hostpath.Layout{Run: t.TempDir()}}
	ctx, hangUp := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := h.StandBy(ctx, agentapi.StandBy{Stacks: []string{"notes", "notes"}}, progress.SinkFunc(func(progress.Event) { close(ready) }))
		ended <- err
	}()
	<-ready
	if l, err := runlock.Acquire(h.Paths.Run, here.StackLock("notes"), runlock.Holder{}); err == nil {
		l.Release()
		t.Error("another operation has the stack")
	}
	hangUp()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	l, err := runlock.Acquire(h.Paths.Run, here.StackLock("notes"), runlock.Holder{})
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}
