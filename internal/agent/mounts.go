package agent

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

// startMounted mounts what is declared and was out of reach, and unmounts what is not declared any more. It starts the
// stacks that waited for a mount or for the tailnet, once that is there.
func (d *daemon) startMounted(ctx context.Context, sink progress.Sink) error {
	spec, err := d.Host.base().ReadSpec()
	if err != nil {
		return err
	}
	undelivered := here.MountsOf(d.Host.base(), spec).Make(ctx)
	if err := errors.Join(undelivered, d.release(ctx)); err != nil {
		return err
	}
	ask := spec
	ask.Stacks = nil
	for _, st := range spec.Stacks {
		if _, err := os.Stat(d.Host.Paths.Waiting(st.Name)); err == nil && !st.Stopped && d.Host.base().At(spec, st).Lacks(ctx) == nil {
			ask.Stacks = append(ask.Stacks, st)
		}
	}
	if len(ask.Stacks) == 0 {
		return nil
	}
	r := startup.New(d.Host.keeper(), ask, sink)
	defer r.Guard.Close(ctx)
	verdicts := r.Guard.Verdicts(ctx, ask)
	lock, err := d.Host.base().Await(ctx, "host", runlock.Holder{Owner: here.Daemon, Message: "starting stacks that waited for what is there now", Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer lock.Release()
	r.StartAll(ctx, verdicts)
	return nil
}

// observeMounts says which of a host's mounts are not there, and what an apply does about
// those that are no longer declared.
func observeMounts(ctx context.Context, h *here.Host, spec agentapi.Host, state *agentapi.HostState) error {
	former, err := here.MountsOf(h, spec).Former(ctx)
	if err != nil {
		return err
	}
	state.Findings = append(append(state.Findings, here.MountsOf(h, spec).Findings()...), here.FormerFindings(spec.Name, former)...)
	for _, f := range former {
		if f.UsedBy == "" {
			state.Changes = append(state.Changes, agentapi.Change{ID: "mount " + f.At, Action: "-", Cause: "no longer declared: unmounted"})
		}
	}
	return nil
}

// release unmounts what is no longer declared and no longer used. While another run works
// on the host, that waits for the next round.
func (d *daemon) release(ctx context.Context) error {
	h := d.Host.base()
	spec, err := h.ReadSpec()
	if err != nil {
		return err
	}
	former, err := here.MountsOf(h, spec).Former(ctx)
	if err != nil || !slices.ContainsFunc(former, func(f here.FormerMount) bool { return f.UsedBy == "" }) {
		return err
	}
	lock, err := runlock.Acquire(h.Paths.Run, "host", runlock.Holder{Owner: here.Daemon, Message: "unmounting what is no longer declared", Since: time.Now().UTC()})
	if errors.As(err, new(*runlock.HeldError)) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	if spec, err = h.ReadSpec(); err != nil {
		return err
	}
	return here.MountsOf(h, spec).Release(ctx)
}
