package agent

import (
	"context"
	"errors"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
)

// Newest says what the record knows of the snapshots of stacks, also of those that
// another host has.
func (h *Host) Newest(ctx context.Context, req agentapi.AskNewest, _ progress.Sink) (agentapi.Newest, error) {
	answer := agentapi.Newest{Schema: agentapi.Schema, Stacks: map[string]agentapi.ProvenSnapshot{}}
	rec, err := h.openRecord(ctx)
	if err != nil {
		return answer, err
	}
	var errs []error
	for stack, epoch := range req.Stacks {
		all, _, err := rec.Proven(ctx, stack, epoch)
		errs = append(errs, err)
		if len(all) > 0 {
			newest := all[len(all)-1]
			answer.Stacks[stack] = agentapi.ProvenSnapshot{ID: newest.Snapshot, Epoch: newest.Epoch, Seq: newest.Seq, At: newest.At}
		}
	}
	return answer, errors.Join(errors.Join(errs...), rec.Close(ctx))
}

// openRecord opens the record as any of the host's stacks reaches it.
func (h *Host) openRecord(ctx context.Context) (*here.Record, error) {
	spec, err := h.base().ReadSpec()
	if err != nil {
		return nil, err
	}
	err = errNoAccess
	for _, st := range spec.Stacks {
		var opened *here.Stack
		if opened, err = h.base().At(spec, st).Open(); err != nil {
			continue
		}
		var rec *here.Record
		if rec, err = opened.Access.Record(ctx, spec.Record); err == nil {
			return rec, nil
		}
	}
	return nil, err
}

var errNoAccess = errors.New("no stack is placed here, so the record can't be opened")
