package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// Fence stops stacks that another host has taken over, at the epochs given. It may
// be called again. A stack that started here at such an epoch, or a later one, is
// not what the caller means.
func (h *Host) Fence(ctx context.Context, req agentapi.Fence, sink progress.Sink) (agentapi.Fenced, error) {
	answer := agentapi.Fenced{Schema: agentapi.Schema}
	who := newGuard(h.base(), askWithin)
	var errs []error
	for name, epoch := range req.Stacks {
		ran, err := who.ranHere(ctx, name)
		local := h.base().local(name)
		switch {
		case err != nil:
		case local.Epoch >= epoch:
			err = fmt.Errorf("stack %s runs here at epoch %d: no other host took it over at %d", name, local.Epoch, epoch)
		case ran || local.Lost:
			end := progress.Scope{Sink: sink, Stack: name}.Step("stop", "")
			err = who.Fence(ctx, name, fmt.Sprintf("%s: %s, epoch %d", req.Owner, req.Message, epoch))
			end(err, "")
		}
		errs = append(errs, err)
	}
	return answer, errors.Join(errs...)
}

// waitOut waits until the former host of a stack that is taken over has certainly
// stopped it, as far as it reaches Git or the record remote.
func (r *run) waitOut(ctx context.Context, s *Stack) error {
	left := time.Until(r.free[s.Name])
	if left <= 0 {
		return nil
	}
	end := progress.Scope{Sink: r.sink, Stack: s.Name}.Step("wait until its former host has stopped it", "")
	err := pause(ctx, left)
	end(err, "")
	return err
}

// mayStart looks once more, right before a start: since the first look minutes may
// have passed in which data came down. Where nothing answers now, that one holds.
func (r *run) mayStart(ctx context.Context, s *Stack) error {
	if v := r.who.Verdict(ctx, s); v.State == record.Lost {
		return notHere(s.Stack, v)
	}
	return nil
}

func notHere(st agentapi.Stack, v record.Verdict) error {
	return fault.WithHint(fmt.Errorf("stack %s is not started here: %s", st.Name, v.Reason), "salvor status shows who owns it")
}
