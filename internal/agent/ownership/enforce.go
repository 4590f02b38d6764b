package ownership

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/journal"
	"salvor/internal/loop"
	"salvor/internal/mount"
	"salvor/internal/record"
)

// Fence stops a stack that is not this host's any more: gate shut, containers
// stopped, secrets gone, data kept. What runs is stopped before the stack's lock is
// there, which a snapshot under way may hold for minutes.
func (g *Guard) Fence(ctx context.Context, name, reason string) error {
	if err := g.stopNow(ctx, name); err != nil {
		return err
	}
	lock, err := g.h.LockStack(ctx, name, here.Daemon, reason)
	if err != nil {
		return err
	}
	defer lock.Release()
	return g.fenceLocked(ctx, name, reason)
}

// fenceLocked is Fence under the stack's lock: anyone who held it may have started the stack.
func (g *Guard) fenceLocked(ctx context.Context, name, reason string) error {
	local := g.h.Local(name)
	if err := errors.Join(g.stopNow(ctx, name), here.SharedMountsOf(g.h, name).Abandon(ctx), delivery.Remove(g.h.Paths.Secrets(), name)); err != nil {
		return fmt.Errorf("stop stack %s: %w", name, err)
	}
	local.Lost, local.Sealed = true, ""
	g.h.Enter(journal.Entry{Kind: "fenced", Stack: name, Text: reason})
	return g.h.SaveLocal(name, local)
}

// stopNow ends what runs of a stack within the lease's grace.
func (g *Guard) stopNow(ctx context.Context, name string) error {
	err := errors.Join(here.SharedMountsOf(g.h, name).Disown(), g.h.Stacks.CloseGate(ctx, name), g.h.Stacks.Halt(ctx, name, g.h.Lease.Grace))
	if err != nil {
		return fmt.Errorf("stop stack %s: %w", name, err)
	}
	return nil
}

// outdated reports that what runs here is of a placement before another host's: the stack was
// taken over and has been given back, and this host learned of neither.
func (g *Guard) outdated(name string, v record.Verdict) bool {
	local := g.h.Local(name)
	return v.State == record.Own && !local.Lost && local.Epoch > 0 && v.Epoch > local.Epoch+1
}

// stopOutdated stops a stack that runs with data from before another host had it. It waits for
// the stack's lock first: an apply that has it brings the newest data, and what it starts runs on.
func (g *Guard) stopOutdated(ctx context.Context, name string, v record.Verdict) error {
	reason := fmt.Sprintf("placed here again at epoch %d after another host may have had it: the data here may be older, and salvor apply brings the newest", v.Epoch)
	lock, err := g.h.LockStack(ctx, name, here.Daemon, reason)
	if err != nil {
		return err
	}
	defer lock.Release()
	if !g.outdated(name, v) {
		return nil
	}
	return g.fenceLocked(ctx, name, reason)
}

// Enforce looks once and stops every stack that is lost, or that runs with the data of an
// earlier placement, all at the same time.
func (g *Guard) Enforce(ctx context.Context) error {
	spec, err := g.h.ReadSpec()
	if err != nil {
		return err
	}
	verdicts := g.Verdicts(ctx, spec)
	errs := make([]error, len(spec.Stacks))
	for i, st := range spec.Stacks {
		errs[i] = g.confirm(st, verdicts[st.Name])
	}
	var all sync.WaitGroup
	for i, st := range spec.Stacks {
		all.Go(func() {
			v := verdicts[st.Name]
			if g.outdated(st.Name, v) {
				errs[i] = errors.Join(errs[i], g.stopOutdated(ctx, st.Name, v))
				return
			}
			if v.State != record.Lost {
				return
			}
			ran, err := g.RanHere(ctx, st.Name)
			if err == nil && ran {
				err = g.Fence(ctx, st.Name, v.Reason)
			}
			errs[i] = errors.Join(errs[i], err)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// confirm lets a stack's shared files be uploaded while it is this host's. Where the look
// says nothing, the last confirmation runs out.
func (g *Guard) confirm(st agentapi.Stack, v record.Verdict) error {
	switch {
	case st.Shared == nil:
		return nil
	case v.State == record.Lost:
		return here.SharedMountsOf(g.h, st.Name).Disown()
	case v.MayChange && v.Epoch == st.Epoch && !g.h.Local(st.Name).ReleasedAt(st.Epoch):
		return mount.Confirm(g.h.Paths.Owner(st.Name))
	}
	return nil
}

// RanHere reports whether a stack has to be stopped here once it is lost: by what is
// noted of it and, where nothing is, by what runs.
func (g *Guard) RanHere(ctx context.Context, stack string) (bool, error) {
	if local := g.h.Local(stack); local.Lost || local.Epoch > 0 || local.Unread != "" {
		return !local.Lost, nil
	}
	seen, err := g.h.Stacks.Observe(ctx, stack)
	if here.NoEngine(err) {
		return false, nil
	}
	return err == nil && seen[0].Running(), err
}

// Watch stops what this host has lost, as soon as it can know.
func (g *Guard) Watch() loop.Loop {
	return loop.Loop{Name: "watch", Wait: g.tick, Run: g.Enforce}
}

// tick waits until the next look is due, or until the clock shows that this host
// was frozen: then it is due at once. It reports false when ctx ends.
func (g *Guard) tick(ctx context.Context) bool {
	const step = time.Second
	pause := g.pause()
	for began := time.Now(); time.Since(began) < pause; {
		before := time.Now().Round(0) // a clock that continues while a machine is suspended
		if here.Sleep(ctx, min(step, pause)) != nil {
			return false
		}
		if time.Now().Round(0).Sub(before) > 2*step {
			break
		}
	}
	return ctx.Err() == nil
}
