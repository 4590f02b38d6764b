package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/fault"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// Fence stops stacks that another host has taken over, at the epochs given. It may
// be called again. A stack that started here at such an epoch, or a later one, is
// not what the caller means.
func (h *Host) Fence(ctx context.Context, req agentapi.Fence, sink progress.Sink) (agentapi.Fenced, error) {
	answer := agentapi.Fenced{Schema: agentapi.Schema}
	var errs []error
	for name, epoch := range req.Stacks {
		ran, err := h.ranHere(ctx, name)
		local := h.local(name)
		switch {
		case err != nil:
		case local.Epoch >= epoch:
			err = fmt.Errorf("stack %s runs here at epoch %d: no other host took it over at %d", name, local.Epoch, epoch)
		case ran || local.Lost:
			end := progress.Scope{Sink: sink, Stack: name}.Step("stop", "")
			err = h.lose(ctx, name, fmt.Sprintf("%s: %s, epoch %d", req.Owner, req.Message, epoch))
			end(err, "")
		}
		errs = append(errs, err)
	}
	return answer, errors.Join(errs...)
}

// lose stops a stack that is not this host's any more: gate shut, containers
// stopped, secrets gone, data kept. What runs is stopped before the stack's lock is
// there, which a snapshot under way may hold for minutes.
func (h *Host) lose(ctx context.Context, name, reason string) error {
	if err := h.stopNow(ctx, name); err != nil {
		return err
	}
	lock, err := h.lockStack(ctx, name, daemon, reason)
	if err != nil {
		return err
	}
	defer lock.Release()
	local := h.local(name)
	// whoever held the lock may have started it
	if err := errors.Join(h.stopNow(ctx, name), delivery.Remove(h.Paths.secrets(), name)); err != nil {
		return fmt.Errorf("stop stack %s: %w", name, err)
	}
	local.Lost, local.Sealed = true, ""
	h.record(journal.Entry{Kind: "fenced", Stack: name, Text: reason})
	return h.saveLocal(name, local)
}

// stopNow ends what runs of a stack within the lease's grace.
func (h *Host) stopNow(ctx context.Context, name string) error {
	err := errors.Join(h.Stacks.CloseGate(ctx, name), h.Stacks.Halt(ctx, name, h.Lease.Grace))
	if err != nil {
		return fmt.Errorf("stop stack %s: %w", name, err)
	}
	return nil
}

// enforce looks once and stops every stack that is lost, all at the same time.
func (h *Host) enforce(ctx context.Context, who *ownership) error {
	spec, err := h.Spec()
	if err != nil {
		return err
	}
	verdicts, err := who.verdicts(ctx, spec)
	if err != nil {
		return err
	}
	errs := make([]error, len(spec.Stacks))
	var all sync.WaitGroup
	for i, st := range spec.Stacks {
		all.Go(func() {
			v := verdicts[st.Name]
			if v.State != record.Lost {
				return
			}
			ran, err := h.ranHere(ctx, st.Name)
			if err == nil && ran {
				err = h.lose(ctx, st.Name, v.Reason)
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// ranHere reports whether a stack has to be stopped here once it is lost: by what is
// noted of it and, where nothing is, by what runs.
func (h *Host) ranHere(ctx context.Context, stack string) (bool, error) {
	if local := h.local(stack); local.Lost || local.Epoch > 0 || local.Unread != "" {
		return !local.Lost, nil
	}
	seen, err := h.Stacks.Observe(ctx, stack)
	if noEngine(err) {
		return false, nil
	}
	return err == nil && seen[0].Running(), err
}

// watch stops what this host has lost, as soon as it can know.
func (h *Host) watch(ctx context.Context) {
	who := h.ownership(h.Lease.Within)
	defer who.close(ctx)
	said := ""
	for h.tick(ctx) {
		err := h.enforce(ctx, who)
		if err != nil && ctx.Err() == nil && err.Error() != said {
			note(h, "watch", err)
		}
		said = text(err)
	}
}

// tick waits until the next look is due, or until the clock shows that this host
// was frozen: then it is due at once. It reports false when ctx ends.
func (h *Host) tick(ctx context.Context) bool {
	const step = time.Second
	for began := time.Now(); time.Since(began) < h.Lease.Every; {
		before := time.Now().Round(0) // a clock that goes on while a machine is suspended
		if pause(ctx, min(step, h.Lease.Every)) != nil {
			return false
		}
		if time.Now().Round(0).Sub(before) > 2*step {
			break
		}
	}
	return ctx.Err() == nil
}

// waitOut waits until the former host of a stack that is taken over has certainly
// stopped it, as far as it reaches Git or the record remote.
func (r *run) waitOut(ctx context.Context, st agentapi.Stack) error {
	left := time.Until(r.free[st.Name])
	if left <= 0 {
		return nil
	}
	end := progress.Scope{Sink: r.sink, Stack: st.Name}.Step("wait until its former host has stopped it", "")
	err := pause(ctx, left)
	end(err, "")
	return err
}

// mayStart looks once more, right before a start: since the first look minutes may
// have passed in which data came down. Where nothing answers now, that one holds.
func (r *run) mayStart(ctx context.Context, st agentapi.Stack) error {
	v, err := r.who.verdict(ctx, r.spec, st)
	if err == nil && v.State == record.Lost {
		err = notHere(st, v)
	}
	return err
}

func notHere(st agentapi.Stack, v record.Verdict) error {
	return fault.WithHint(fmt.Errorf("stack %s is not started here: %s", st.Name, v.Reason), "salvor status shows who owns it")
}
