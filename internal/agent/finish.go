package agent

import (
	"context"
	"errors"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// leftOver returns the stacks of which a run has left something to finish.
func (d *daemon) leftOver(spec agentapi.Host) []agentapi.Stack {
	var left []agentapi.Stack
	for _, st := range spec.Stacks {
		local := d.Host.base().Local(st.Name)
		if st.Stopped || st.Kept || local.Lost || local.ReleasedAt(st.Epoch) {
			continue
		}
		if d.Host.base().At(spec, st).Attempt().InProgress() || d.Host.base().RunNote(st.Name).What != "" {
			left = append(left, st)
		}
	}
	return left
}

// finishRuns continues with what runs have left: a way between two versions, as with
// the remote away, and stacks that are stopped for a run which was killed. While
// another run works on the host or a stack, that waits for the next round.
func (d *daemon) finishRuns(ctx context.Context, sink progress.Sink) error {
	spec, err := d.Host.base().ReadSpec()
	if err != nil || len(d.leftOver(spec)) == 0 {
		return err
	}
	lock, err := runlock.Acquire(d.Host.Paths.Run, "host", runlock.Holder{Owner: here.Daemon, Message: "finishing what another run left undone", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if spec, err = d.Host.base().ReadSpec(); err != nil {
		return err
	}
	ask := spec
	ask.Stacks = nil
	for _, st := range d.leftOver(spec) {
		due, err := d.dueToFinish(ctx, d.Host.base().At(spec, st))
		if err != nil {
			return err
		}
		if due {
			ask.Stacks = append(ask.Stacks, st)
		}
	}
	if len(ask.Stacks) == 0 {
		return nil
	}
	r := startup.New(d.Host.keeper(), ask, sink)
	defer r.Guard.Close(ctx)
	verdicts := r.Guard.Verdicts(ctx, ask)
	r.StartAll(ctx, verdicts)
	return nil
}

// dueToFinish reports whether a stack waits for the daemon. One that a living run
// works on does not, and neither does one that a dead run has not stopped.
func (d *daemon) dueToFinish(ctx context.Context, s *here.Stack) (bool, error) {
	lock, err := runlock.Acquire(d.Host.Paths.Run, here.StackLock(s.Name), runlock.Holder{Owner: here.Daemon, Message: "finish", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer lock.Release()
	if s.Attempt().InProgress() {
		return true, nil
	}
	if d.Host.base().RunsWhole(ctx, s.Name) {
		d.Host.base().ForgetRun(s.Name)
		return false, nil
	}
	return true, nil
}
