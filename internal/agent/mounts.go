package agent

import (
	"context"
	"os"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// startMounted starts the stacks that waited for a mount which is there now.
func (d *daemon) startMounted(ctx context.Context, sink progress.Sink) error {
	spec, err := d.Host.base().ReadSpec()
	if err != nil {
		return err
	}
	ask := spec
	ask.Stacks = nil
	for _, st := range spec.Stacks {
		if _, err := os.Stat(d.Host.Paths.Waiting(st.Name)); err == nil && !st.Stopped && len(d.Host.base().At(spec, st).Absent()) == 0 {
			ask.Stacks = append(ask.Stacks, st)
		}
	}
	if len(ask.Stacks) == 0 {
		return nil
	}
	r := startup.New(d.Host.keeper(), ask, sink)
	defer r.Guard.Close(ctx)
	verdicts := r.Guard.Verdicts(ctx, ask)
	lock, err := d.Host.base().Await(ctx, "host", runlock.Holder{Owner: here.Daemon, Message: "starting stacks whose mounts are there now", Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer lock.Release()
	r.StartAll(ctx, verdicts)
	return nil
}
