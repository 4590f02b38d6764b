package agent

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Fence stops stacks that another host has taken over, at the epochs given. It may
// be called again. A stack that started here at such an epoch, or a later one, is
// not what the caller means.
func (h *Host) Fence(ctx context.Context, req agentapi.Fence, sink progress.Sink) (agentapi.Fenced, error) {
	answer := agentapi.Fenced{Schema: agentapi.Schema}
	who := ownership.New(h.base(), ownership.AskWithin)
	var errs []error
	for name, epoch := range req.Stacks {
		ran, err := who.RanHere(ctx, name)
		local := h.base().Local(name)
		switch {
		case err != nil:
		case local.Epoch >= epoch:
			err = fmt.Errorf("stack %s runs here at epoch %d: it was not taken over at %d", name, local.Epoch, epoch)
		case ran || local.Lost:
			end := progress.Scope{Sink: sink, Stack: name}.Step("stop", "")
			err = who.Fence(ctx, name, fmt.Sprintf("%s: %s, epoch %d", req.Owner, req.Message, epoch))
			end(err, "")
		}
		errs = append(errs, err)
	}
	return answer, errors.Join(errs...)
}
