package agent

import (
	"context"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agent/publishing"
	"salvor/internal/agent/startup"
	"salvor/internal/agent/tunnel"
	"salvor/internal/loop"
	"salvor/internal/progress"
	"salvor/internal/runlock"
)

const (
	roundEvery  = 15 * time.Second // between two rounds of the daemon's work
	roundJitter = 3 * time.Second  // so that the hosts of a fleet don't ask the remotes all at once
	rereadMost  = 5 * time.Minute  // between tries of a reading back that fails
)

// Run is the daemon: what was paused continues, the host's stacks are started after
// the ownership check, then its loops run until ctx ends.
func (h *Host) Run(ctx context.Context, sink progress.Sink) error {
	if err := h.keeper().Resume(ctx); err != nil {
		h.base().Trouble("resume", err) // tried again in every round
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	spec, _ := h.Spec() // one that can't be read has no name to spread by
	loops := &loop.Set{Seed: loop.SeedOf(spec.Name), Failed: func(name string, err error) { h.base().Trouble(name, err) }}
	d := &daemon{Host: h}
	watch := ownership.New(h.base(), h.Lease.Within)
	defer watch.Close(ctx)
	kept := here.KeepOpen(h.base())
	defer kept.Close(ctx)
	takers := keeper.NewTakers(keeper.TakerTurn, kept)
	connector := tunnel.New(h.base())
	defer connector.Close()
	routes := publishing.New(h.base(), watch, hostTunnel{connector})
	// a start may take minutes: some stacks run already, and an apply that starts others announces them
	loops.Start(ctx, watch.Watch(), routes.Loop(), routes.Listener())
	err := d.boot(ctx, sink)
	if err != nil {
		stop()
	} else {
		loops.Start(ctx, d.rounds(watch, takers, sink)...)
	}
	loops.Wait()
	takers.Wait()
	return err
}

// A daemon is what a host does on its own.
type daemon struct{ Host *Host }

// rounds is what the daemon does again and again once the stacks are started.
func (d *daemon) rounds(watch *ownership.Guard, takers *keeper.Takers, sink progress.Sink) []loop.Loop {
	every := func(name string, run func(context.Context) error) loop.Loop {
		return loop.Loop{Name: name, Every: roundEvery, Jitter: roundJitter, Run: run}
	}
	reread := every("reread", func(ctx context.Context) error { return d.Host.keeper().RereadDue(ctx, d.Host.base().Edges.Time()) })
	reread.Most = rereadMost
	finish := every("finish", func(ctx context.Context) error { return d.finishRuns(ctx, sink) })
	finish.Early = watch.Changed // what waited for an answer continues with it
	return []loop.Loop{
		every("snapshots", func(ctx context.Context) error { return d.Host.keeper().TakeDue(ctx, watch, takers, sink) }),
		reread,
		every("reports", func(ctx context.Context) error { return d.Host.keeper().ReportDue(ctx, watch) }),
		every("mounts", func(ctx context.Context) error { return d.startMounted(ctx, sink) }),
		every("shared", func(ctx context.Context) error {
			return here.LookForDatabases(ctx, d.Host.base(), d.Host.base().Edges.Time())
		}),
		every("resume", d.Host.keeper().Resume),
		every("free", func(context.Context) error { d.Host.base().Free(); return nil }),
		finish,
	}
}

// boot starts the stacks that may run here. An apply under way starts them
// itself; boot waits for its end.
func (d *daemon) boot(ctx context.Context, sink progress.Sink) error {
	lock, err := d.Host.base().Await(ctx, "host", runlock.Holder{Owner: here.Daemon, Message: "starting the stacks after a boot", Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	defer lock.Release()
	spec, err := d.Host.base().ReadSpec()
	if err != nil {
		d.Host.base().Trouble("boot", err) // an apply writes it again, and starts the stacks
		return nil
	}
	if len(spec.Stacks) == 0 {
		return nil
	}
	if _, err := d.Host.base().Mount(string(d.Host.Paths.Secrets())); err != nil {
		return err
	}
	if err := here.MountsOf(d.Host.base(), spec).Make(ctx); err != nil {
		d.Host.base().Trouble("mounts", err)
	}
	r := startup.New(d.Host.keeper(), spec, sink)
	defer r.Guard.Close(ctx)
	verdicts := r.Guard.Verdicts(ctx, spec)
	d.Host.base().FreePorts(ctx, spec)
	r.StartAll(ctx, verdicts)
	return nil
}
