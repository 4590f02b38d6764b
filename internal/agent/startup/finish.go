package startup

import (
	"context"
	"errors"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/runlock"
)

// finishLeftOver continues with a stack that a run has left stopped, once. If it can't be and
// the previous data is intact, the last deployed version starts.
func (s *Start) finishLeftOver(ctx context.Context, goOn func() agentapi.StackReceipt) agentapi.StackReceipt {
	receipt := goOn()
	if ctx.Err() == nil {
		s.Host.ForgetRun(s.Name)
	}
	if receipt.Error == nil || ctx.Err() != nil || s.Attempt().InProgress() || s.AllReady() != nil || s.Host.RunsWhole(ctx, s.Name) {
		return receipt
	}
	return s.startAsDeployed(ctx)
}

// lockForRun takes a stack's lock for a run. The daemon's may have waited for a release,
// after which only an apply starts the stack here.
func (s *Start) lockForRun(ctx context.Context, message string) (*runlock.Lock, error) {
	lock, err := s.Host.LockStack(ctx, s.Name, here.Daemon, message)
	if err != nil {
		return nil, err
	}
	if s.Run.unasked && s.Host.Local(s.Name).ReleasedAt(s.Epoch) {
		lock.Release()
		return nil, fault.WithHint(errReleased, "salvor apply starts it where it was, unless it was moved")
	}
	return lock, nil
}

var errReleased = errors.New("it was released for a move in the meantime")
